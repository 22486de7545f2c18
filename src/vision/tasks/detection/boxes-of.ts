import { LimberError } from "../../../base/index.js";
import type { TruthBox } from "../../data/truth.js";
import type { BatchTruth } from "../task.js";

/** The boxes of each picture of a batch. Throws: `data.invalid` where a picture has none, not even an empty list. */
export function boxesOf({ truths, labels }: BatchTruth): readonly (readonly TruthBox[])[] {
  return Array.from(labels, (_, i) => {
    const boxes = truths?.[i]?.boxes;
    if (boxes) return boxes;
    throw new LimberError("data.invalid", "detection: boxes for every picture expected, got one without; label it");
  });
}
