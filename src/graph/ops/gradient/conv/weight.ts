import { sizeOf } from "../../../../base/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { Formulation } from "./formulation.js";
import {
  type Convolution,
  cropSpatial,
  exchange,
  isPointwise,
  shiftedCopies,
  spatial,
  unread,
  windowAttributes,
} from "./window.js";

/**
 * Every form: with batch and channels exchanged, the gradient is a convolution of X by dY, where strides act as dilations
 * and dilations as strides: dW[m, c, k] = Σ_n,o dY[n, m, o] · X[n, c, o·stride + k·dilation − pad].
 * Shapes: X → [C/g, g·N, …S], dY → [M, N, …O], their convolution [C/g, M, …≥K].
 */
const exchanged: Formulation = {
  fits: () => true,
  write: (emit, { geometry, group, X, W, dY }) => {
    const [count, channels, ...sizes] = X.dims as [number, number, ...number[]];
    const grouped = emit.reshape(X, [count, group, channels / group, ...sizes]);
    const inner = emit.transpose(grouped, [2, 1, 0, ...sizes.map((_, i) => i + 3)]);
    const images = emit.reshape(inner, [channels / group, group * count, ...sizes]);
    const window = windowAttributes({ ...geometry, strides: geometry.dilations, dilations: geometry.strides }, group);
    const [full] = emit.node("Conv", [images, exchange(emit, dY)], window);
    return exchange(emit, cropSpatial(emit, full, spatial(W)));
  },
};

/**
 * One group: a product of dY with the shifted copies of X that each kernel element saw, summed over the batch.
 * Shapes: dY [N, M, L] · columns [N, K·C, L]ᵀ → [N, M, K·C] → [M, C, …K].
 */
const columns: Formulation = {
  fits: ({ group }) => group === 1,
  write: (emit, { geometry, X, W, dY }) => {
    const [count, outputs] = dY.dims as [number, number];
    const [, channels, ...kernel] = W.dims as [number, number, ...number[]];
    const pixels = sizeOf(spatial(dY));
    const shifts = shiftedCopies(emit, X, geometry).map((shift) => emit.reshape(shift, [count, channels, pixels]));
    const partial = emit.fusedMatMul(emit.reshape(dY, [count, outputs, pixels]), emit.concat(shifts, 1), {
      transB: true,
    });
    const total = emit.reshape(sumSamples(emit, partial), [outputs, sizeOf(kernel), channels]);
    return emit.reshape(emit.transpose(total, [0, 2, 1]), W.dims);
  },
};

/** One pixel, stride 1, few of them: the batch is folded into one long product. Shapes: [M, N·L] · [C, N·L]ᵀ → [M, C]. */
const folded: Formulation = {
  fits: ({ geometry, group }) => group === 1 && isPointwise(geometry),
  write: (emit, { X, W, dY }) => {
    const rows = (a: Val): Val => emit.reshape(exchange(emit, a), [a.dims[1]!, sizeOf(a.dims) / a.dims[1]!]);
    return emit.reshape(emit.fusedMatMul(rows(dY), rows(X), { transB: true }), W.dims);
  },
};

/**
 * One group, two axes: one dense convolution. X is seen as an image per sample whose columns interleave the channels,
 * so that a kernel of dY, dilated by stride · C along a row, meets every channel at every offset.
 * `perSample` convolves each sample on its own and sums after; else the samples are the channels of one convolution.
 * Shapes: X → [1, N, H, W·C], dY → [N·M, 1, …O] or [M, N, …O], result [1, ·, K, K·C] → [M, C, K, K].
 */
const interleaved = (perSample: boolean): Formulation => ({
  fits: ({ geometry, group, X }) => {
    const read = geometry.padsEnd.map((end, i) => end - unread(geometry, spatial(X))[i]!);
    return (
      group === 1 && read.length === 2 && geometry.dilations.every((d) => d === 1) && read.every((end) => end >= 0)
    );
  },
  write: (emit, { geometry, X, W, dY }) => {
    const [count, channels, height, width] = X.dims as [number, number, number, number];
    const [outputs, , ...kernel] = W.dims as [number, number, number, number];
    const pixels = emit.transpose(emit.reshape(X, [count, channels, height * width]), [0, 2, 1]);
    const image = emit.reshape(pixels, [1, count, height, width * channels]);
    const kernels = perSample ? emit.reshape(dY, [count * outputs, 1, ...spatial(dY)]) : exchange(emit, dY);
    const tail = unread(geometry, spatial(X));
    const [down, along] = geometry.strides as [number, number];
    const perColumn = (sizes: readonly number[]): number[] => [sizes[0]!, sizes[1]! * channels];
    const window = {
      strides: [1, 1],
      dilations: [down, along * channels],
      padsBegin: perColumn(geometry.padsBegin),
      padsEnd: perColumn(geometry.padsEnd.map((end, i) => end - tail[i]!)),
    };
    const [offsets] = emit.node("Conv", [image, kernels], windowAttributes(window, perSample ? count : 1));
    const perOutput = [outputs, sizeOf(kernel), channels];
    const total = perSample
      ? sumSamples(emit, emit.reshape(offsets, [count, ...perOutput]))
      : emit.reshape(offsets, perOutput);
    return emit.reshape(emit.transpose(total, [0, 2, 1]), W.dims);
  },
});

/**
 * One kernel per channel: every channel of every sample is convolved on its own by its dY, and the batch summed after.
 * Shapes: X → [1, N·C, …S], dY → [N·C, 1, …O], result [1, N·C, …≥K] → [C, 1, …K].
 */
const depthwise: Formulation = {
  fits: ({ group, X, W }) => group > 1 && group === X.dims[1] && group === W.dims[0],
  write: (emit, { geometry, X, W, dY }) => {
    const planes = X.dims[0]! * X.dims[1]!;
    const window = windowAttributes({ ...geometry, strides: geometry.dilations, dilations: geometry.strides }, planes);
    const images = emit.reshape(X, [1, planes, ...spatial(X)]);
    const kernels = emit.reshape(dY, [planes, 1, ...spatial(dY)]);
    const [full] = emit.node("Conv", [images, kernels], window);
    const each = emit.reshape(cropSpatial(emit, full, spatial(W)), [X.dims[0]!, ...W.dims]);
    return sumSamples(emit, each);
  },
};

export const weightFormulations = {
  exchanged,
  depthwise,
  columns,
  folded,
  interleavedPerSample: interleaved(true),
  interleavedFolded: interleaved(false),
} as const;

/** Gradient of a convolution with respect to its kernel, by the formulation that is fastest for its form and shape. */
export function weightGradient(emit: Emitter, convolution: Convolution): Val {
  return weightFormulations[chooseWeightFormulation(convolution)].write(emit, convolution);
}

/** Measured on ONNX Runtime's CPU provider: small maps want the batch folded into one contraction, large ones a product per sample. */
export function chooseWeightFormulation(convolution: Convolution): keyof typeof weightFormulations {
  const pixels = sizeOf(spatial(convolution.dY));
  if (depthwise.fits(convolution)) return "depthwise";
  if (folded.fits(convolution)) return pixels < 100 ? "folded" : "columns";
  if (weightFormulations.interleavedFolded.fits(convolution))
    return pixels < 144 ? "interleavedFolded" : "interleavedPerSample";
  return columns.fits(convolution) ? "columns" : "exchanged";
}

/** Sum over the first axis as a product with ones, which ONNX Runtime spreads over threads. Shapes: [N, …] → […]. */
function sumSamples(emit: Emitter, a: Val): Val {
  const [count, ...rest] = a.dims as [number, ...number[]];
  const ones = emit.expand(emit.scalar(1, a), [1, count]);
  return emit.reshape(emit.matMul(ones, emit.reshape(a, [count, sizeOf(rest)])), rest);
}
