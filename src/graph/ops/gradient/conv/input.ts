import { sizeOf } from "../../../../base/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { Formulation } from "./formulation.js";
import { type Convolution, isPointwise, scatterWindows, spatial, windowAttributes } from "./window.js";

/** Every form: dX = ConvTranspose(dY, W). */
const transposed: Formulation = {
  fits: () => true,
  write: (emit, { geometry, group, X, W, dY }) => scatterWindows(emit, dY, W, geometry, spatial(X), group),
};

/**
 * Stride 1: dX = Conv(dY, W̃) with W̃[c, m, k] = W[m, c, K−1−k] and pads (K−1)·dilation − pad.
 * Shapes: W [M, C/g, …K] → W̃ [C, M/g, …K].
 */
const flipped: Formulation = {
  fits: ({ geometry: { kernel, strides, dilations, padsBegin, padsEnd } }) =>
    kernel.every((k, i) => strides[i] === 1 && Math.max(padsBegin[i]!, padsEnd[i]!) <= (k - 1) * dilations[i]!),
  write: (emit, { geometry, group, W, dY }) => {
    const { kernel, dilations, padsBegin, padsEnd } = geometry;
    const complement = (pads: readonly number[]): number[] => pads.map((p, i) => (kernel[i]! - 1) * dilations[i]! - p);
    const pads = { padsBegin: complement(padsBegin), padsEnd: complement(padsEnd) };
    const kernels = swapChannels(emit, reverse(emit, W), group);
    return emit.node("Conv", [dY, kernels], windowAttributes({ ...geometry, ...pads }, group))[0];
  },
};

/** One pixel, stride 1: dX = Wᵀ · dY over pixels. Shapes: W [M, C], dY [N, M, L] → [N, C, L]. */
const product: Formulation = {
  fits: ({ geometry, group }) => group === 1 && isPointwise(geometry),
  write: (emit, { X, W, dY }) => {
    const [count, outputs, ...sizes] = dY.dims as [number, number, ...number[]];
    const weights = emit.reshape(W, [outputs, W.dims[1]!]);
    const pixels = emit.reshape(dY, [count, outputs, sizeOf(sizes)]);
    return emit.reshape(emit.fusedMatMul(weights, pixels, { transA: true }), X.dims);
  },
};

export const inputFormulations = { transposed, flipped, product } as const;

/** Gradient of a convolution with respect to its input, by the formulation that is fastest for its form and shape. */
export function inputGradient(emit: Emitter, convolution: Convolution): Val {
  return inputFormulations[chooseInputFormulation(convolution)].write(emit, convolution);
}

/** Turning a kernel around copies it, which pays only when there are more pixels than output channels (measured: 512 channels at 4×4). */
export function chooseInputFormulation(convolution: Convolution): keyof typeof inputFormulations {
  if (product.fits(convolution)) return "product";
  const { dims } = convolution.dY;
  const pixels = sizeOf(dims) / dims[1]!;
  return flipped.fits(convolution) && pixels >= dims[1]! / convolution.group ? "flipped" : "transposed";
}

/** The kernel turned around on every spatial axis. */
function reverse(emit: Emitter, W: Val): Val {
  const axes = spatial(W).flatMap((size, i) => (size > 1 ? [i + 2] : []));
  if (axes.length === 0) return W;
  const minusOne = axes.map(() => -1);
  return emit.slice(
    W,
    axes,
    minusOne,
    axes.map((axis) => -W.dims[axis]! - 1),
    minusOne,
  );
}

/** Input and output channels exchanged within each group. Shapes: [M, C/g, …K] → [C, M/g, …K]. */
function swapChannels(emit: Emitter, W: Val, group: number): Val {
  const [outputs, inputs, ...kernel] = W.dims as [number, number, ...number[]];
  const grouped = emit.reshape(W, [group, outputs / group, inputs, ...kernel]);
  const swapped = emit.transpose(grouped, [0, 2, 1, ...kernel.map((_, i) => i + 3)]);
  return emit.reshape(swapped, [group * inputs, outputs / group, ...kernel]);
}
