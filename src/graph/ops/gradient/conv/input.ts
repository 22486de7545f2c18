import { sizeOf } from "../../../../base/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { Formulation } from "./formulation.js";
import {
  type Convolution,
  exchange,
  isPointwise,
  offsetsOf,
  scatterWindows,
  spatial,
  windowAttributes,
} from "./window.js";

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

/**
 * One group: what every kernel element sends back, in one product over the whole batch, then added up at its place.
 * On small maps the kernel is the large operand; a product per sample would read it N times.
 * Shapes: W [M, C·K]ᵀ · dY [M, N·L] → K parts [C, N, …O], each spread by the strides and shifted → [N, C, …S].
 */
const folded: Formulation = {
  fits: ({ group }) => group === 1,
  write: (emit, { geometry, X, W, dY }) => {
    const [count, outputs, ...sizes] = dY.dims as [number, number, ...number[]];
    const [, channels, ...kernel] = W.dims as [number, number, ...number[]];
    const weights = emit.reshape(W, [outputs, channels * sizeOf(kernel)]);
    const pixels = emit.reshape(exchange(emit, dY), [outputs, count * sizeOf(sizes)]);
    const sent = emit.fusedMatMul(weights, pixels, { transA: true });
    const parts = emit.reshape(sent, [channels, sizeOf(kernel), count, ...sizes]);
    const placed = offsetsOf(kernel).map((offset, i) => {
      const part = emit.reshape(emit.slice(parts, [1], [i], [i + 1]), [channels, count, ...sizes]);
      const spread = spreadBy(emit, part, geometry.strides);
      const before = offset.map((o, axis) => o * geometry.dilations[axis]! - geometry.padsBegin[axis]!);
      const after = before.map((b, axis) => spatial(X)[axis]! - spatial(spread)[axis]! - b);
      return emit.pad(spread, [0, 0, ...before, 0, 0, ...after]); // negative pads crop
    });
    return exchange(emit, placed.length === 1 ? placed[0]! : emit.node("Sum", placed)[0]);
  },
};

/** Zeros between elements: element o moves to o · stride. Shapes: [A, B, …O] → [A, B, …O·stride]. */
function spreadBy(emit: Emitter, a: Val, strides: readonly number[]): Val {
  if (strides.every((s) => s === 1)) return a;
  const [first, second] = a.dims as [number, number];
  const single = emit.reshape(a, [first, second, ...spatial(a).flatMap((size) => [size, 1])]);
  const ends = [0, 0, ...strides.flatMap((s) => [0, s - 1])];
  const padded = emit.pad(single, [...ends.map(() => 0), ...ends]);
  return emit.reshape(padded, [first, second, ...spatial(a).map((size, i) => size * strides[i]!)]);
}

export const inputFormulations = { transposed, flipped, product, folded } as const;

/** Gradient of a convolution with respect to its input, by the formulation that is fastest for its form and shape. */
export function inputGradient(emit: Emitter, convolution: Convolution): Val {
  return inputFormulations[chooseInputFormulation(convolution)].write(emit, convolution);
}

/** Measured on ONNX Runtime's CPU provider: up to 25 pixels, reading the kernel once for the whole batch wins over any convolution. */
export function chooseInputFormulation(convolution: Convolution): keyof typeof inputFormulations {
  if (product.fits(convolution)) return "product";
  if (folded.fits(convolution) && sizeOf(spatial(convolution.dY)) <= 25) return "folded";
  return flipped.fits(convolution) ? "flipped" : "transposed";
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
