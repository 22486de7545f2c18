import type { Emitter, Val } from "../../emit.js";
import type { Convolution, Layer } from "./window.js";

/**
 * One way to write a result of a convolution: its output or one of its gradients. All that fit a layer compute the same;
 * they differ in speed. Their names are stable: measurements are stored under them.
 */
export interface Formulation<C extends Layer = Convolution> {
  readonly fits: (layer: Layer) => boolean;
  readonly write: (emit: Emitter, convolution: C) => Val;
}
