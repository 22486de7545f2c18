import { sizeOf } from "../../../../base/index.js";
import type { Formulation } from "./formulation.js";
import { forwardByColumns } from "./small-maps.js";
import { exchange, isPointwise, type Layer, pixelRows, windowAttributes } from "./window.js";

/** Every form: the operator itself. */
const convolution: Formulation<Layer> = {
  fits: () => true,
  write: (emit, { geometry, group, X, W }) => emit.node("Conv", [X, W], windowAttributes(geometry, group))[0],
};

/** One pixel, stride 1: one product over the whole batch. Shapes: W [M, C] · X [C, N·L]. */
const folded: Formulation<Layer> = {
  fits: ({ geometry, group }) => group === 1 && isPointwise(geometry),
  write: (emit, { geometry, X, W }) => {
    const product = emit.matMul(emit.reshape(W, [W.dims[0]!, W.dims[1]!]), pixelRows(emit, X));
    return exchange(emit, emit.reshape(product, [W.dims[0]!, X.dims[0]!, ...geometry.output]));
  },
};

export const forwardFormulations = { convolution, folded, smallMap: forwardByColumns } as const;

/** Measured on ONNX Runtime's CPU provider: up to 25 pixels, reading the kernel once for the whole batch wins over any convolution. */
export function preferredForward(layer: Layer): keyof typeof forwardFormulations {
  const isSmall = forwardByColumns.fits(layer) && sizeOf(layer.geometry.output) <= 25;
  return isSmall && !layer.isConstant ? "smallMap" : "convolution";
}
