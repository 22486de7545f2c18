import { sizeOf } from "../../../../base/index.js";
import type { Emitter, Val } from "../../emit.js";
import { type Convolution, isPointwise, scatterWindows, spatial, windowAttributes } from "./window.js";

/** Gradient of a convolution with respect to its input, by the cheapest formulation that fits its form. */
export function inputGradient(emit: Emitter, convolution: Convolution): Val {
  return chooseInputGradient(convolution)(emit, convolution);
}

export type ConvGradient = (emit: Emitter, convolution: Convolution) => Val;

function chooseInputGradient({ geometry, group }: Convolution): ConvGradient {
  if (group === 1 && isPointwise(geometry)) return byProduct;
  const { strides, dilations, kernel, padsBegin, padsEnd } = geometry;
  const flips = kernel.every((k, i) => {
    const reach = (k - 1) * dilations[i]!;
    return strides[i] === 1 && padsBegin[i]! <= reach && padsEnd[i]! <= reach;
  });
  return flips ? byFlippedKernel : byTransposedConvolution;
}

/** Every form: dX = ConvTranspose(dY, W). */
export const byTransposedConvolution: ConvGradient = (emit, { geometry, group, X, W, dY }) =>
  scatterWindows(emit, dY, W, geometry, spatial(X), group);

/**
 * Stride 1: dX = Conv(dY, W̃) with W̃[c, m, k] = W[m, c, K−1−k] and pads (K−1)·dilation − pad.
 * Shapes: W [M, C/g, …K] → W̃ [C, M/g, …K].
 */
export const byFlippedKernel: ConvGradient = (emit, { geometry, group, W, dY }) => {
  const { kernel, dilations, padsBegin, padsEnd } = geometry;
  const complement = (pads: readonly number[]): number[] => pads.map((p, i) => (kernel[i]! - 1) * dilations[i]! - p);
  const flipped = swapChannels(emit, reverse(emit, W), group);
  const attributes = windowAttributes({ ...geometry, padsBegin: complement(padsBegin), padsEnd: complement(padsEnd) }, group);
  return emit.node("Conv", [dY, flipped], attributes)[0];
};

/** One pixel, stride 1: dX = Wᵀ · dY over pixels. Shapes: W [M, C], dY [N, M, L] → [N, C, L]. */
export const byProduct: ConvGradient = (emit, { X, W, dY }) => {
  const [count, outputs, ...sizes] = dY.dims as [number, number, ...number[]];
  const weights = emit.reshape(W, [outputs, W.dims[1]!]);
  const pixels = emit.reshape(dY, [count, outputs, sizeOf(sizes)]);
  return emit.reshape(emit.fusedMatMul(weights, pixels, { transA: true }), X.dims);
};

/** The kernel turned around on every spatial axis. */
function reverse(emit: Emitter, W: Val): Val {
  const axes = spatial(W).flatMap((size, i) => (size > 1 ? [i + 2] : []));
  if (axes.length === 0) return W;
  const whole = axes.map((axis) => -W.dims[axis]! - 1);
  return emit.slice(W, axes, axes.map(() => -1), whole, axes.map(() => -1));
}

/** Input and output channels exchanged within each group. Shapes: [M, C/g, …K] → [C, M/g, …K]. */
function swapChannels(emit: Emitter, W: Val, group: number): Val {
  const [outputs, inputs, ...kernel] = W.dims as [number, number, ...number[]];
  const grouped = emit.reshape(W, [group, outputs / group, inputs, ...kernel]);
  const swapped = emit.transpose(grouped, [0, 2, 1, ...kernel.map((_, i) => i + 3)]);
  return emit.reshape(swapped, [group * inputs, outputs / group, ...kernel]);
}
