import { sizeOf } from "../../../../base/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { ConvGradient } from "./input.js";
import { type Convolution, cropSpatial, isPointwise, spatial, windowAttributes } from "./window.js";

/** Gradient of a convolution with respect to its kernel, by the cheapest formulation that fits its form. */
export function weightGradient(emit: Emitter, convolution: Convolution): Val {
  return chooseWeightGradient(convolution)(emit, convolution);
}

function chooseWeightGradient({ group }: Convolution): ConvGradient {
  return group === 1 ? byColumns : byBatchConvolution;
}

/**
 * Every form: with batch and channels exchanged, the gradient is a convolution of X by dY, where strides act as dilations
 * and dilations as strides: dW[m, c, k] = Σ_n,o dY[n, m, o] · X[n, c, o·stride + k·dilation − pad].
 * Shapes: X → [C/g, g·N, …S], dY → [M, N, …O], their convolution [C/g, M, …≥K].
 */
export const byBatchConvolution: ConvGradient = (emit, { geometry, group, X, W, dY }) => {
  const [count, channels, ...sizes] = X.dims as [number, number, ...number[]];
  const axes = sizes.map((_, i) => i + 3);
  const grouped = emit.reshape(X, [count, group, channels / group, ...sizes]);
  const images = emit.reshape(emit.transpose(grouped, [2, 1, 0, ...axes]), [channels / group, group * count, ...sizes]);
  const kernel = emit.transpose(dY, [1, 0, ...spatial(dY).map((_, i) => i + 2)]);
  const exchanged = windowAttributes({ ...geometry, strides: geometry.dilations, dilations: geometry.strides }, group);
  const [full] = emit.node("Conv", [images, kernel], exchanged);
  const cropped = cropSpatial(emit, full, spatial(W));
  return emit.transpose(cropped, [1, 0, ...spatial(W).map((_, i) => i + 2)]);
};

/**
 * One group: a product of dY with the shifted copies of X that each kernel element saw, summed over the batch.
 * Shapes: dY [N, M, L] · columns [N, K·C, L]ᵀ → [N, M, K·C] → [M, C, …K].
 */
export const byColumns: ConvGradient = (emit, { geometry, X, W, dY }) => {
  const [count, outputs] = dY.dims as [number, number];
  const [, channels, ...kernel] = W.dims as [number, number, ...number[]];
  const pixels = sizeOf(spatial(dY));
  const shifts = isPointwise(geometry) ? [X] : shiftedCopies(emit, X, geometry);
  const columns = emit.concat(shifts.map((shift) => emit.reshape(shift, [count, channels, pixels])), 1);
  const partial = emit.fusedMatMul(emit.reshape(dY, [count, outputs, pixels]), columns, { transB: true });
  const total = emit.reshape(emit.reduceSum(partial, [0]), [outputs, sizeOf(kernel), channels]);
  return emit.reshape(emit.transpose(total, [0, 2, 1]), W.dims);
};

/** What each kernel element sees, in row-major order of the kernel. Shapes: [N, C, …S] → K times [N, C, …O]. */
function shiftedCopies(emit: Emitter, X: Val, geometry: Convolution["geometry"]): Val[] {
  const { kernel, strides, dilations, padsBegin, padsEnd, output } = geometry;
  const padded = emit.pad(X, [0, 0, ...padsBegin, 0, 0, ...padsEnd]);
  const axes = kernel.map((_, i) => i + 2);
  return offsetsOf(kernel).map((offset) => {
    const starts = offset.map((o, i) => o * dilations[i]!);
    const ends = starts.map((start, i) => start + (output[i]! - 1) * strides[i]! + 1);
    return emit.slice(padded, axes, starts, ends, strides);
  });
}

/** All index tuples of a shape in row-major order. */
function offsetsOf(dims: readonly number[]): number[][] {
  return dims.reduce<number[][]>((tuples, size) => tuples.flatMap((t) => Array.from({ length: size }, (_, i) => [...t, i])), [[]]);
}

