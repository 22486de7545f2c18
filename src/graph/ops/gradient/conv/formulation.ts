import type { Emitter, Val } from "../../emit.js";
import type { Convolution } from "./window.js";

/** One way to write a gradient of a convolution. All that fit a convolution compute the same; they differ in speed. */
export interface Formulation {
  readonly fits: (convolution: Convolution) => boolean;
  readonly write: (emit: Emitter, convolution: Convolution) => Val;
}
