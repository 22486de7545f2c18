import type { Size } from "../../preprocess/window.js";
import type { HeadKind, HeadRecord } from "../metadata.js";
import { cellCoder } from "./cells.js";
import { centreCoder } from "./centre.js";
import type { BoxCoder, CreateCoder } from "./coder.js";
import { priorCoder } from "./priors.js";

type HeadOf<Kind extends HeadKind> = Extract<HeadRecord, { kind: Kind }>;

/** All kinds of detector. */
const CODERS: { readonly [Kind in HeadKind]: CreateCoder<HeadOf<Kind>> } = {
  centre: centreCoder,
  ssd: priorCoder,
  fastestdet: cellCoder,
};

/** How a detector with this head lays boxes into its output. */
export function createCoder<Kind extends HeadKind>(head: HeadOf<Kind>, classes: number, image: Size): BoxCoder {
  const kind: Kind = head.kind;
  return CODERS[kind](head, classes, image);
}
