import { sizeOf, tensorOf } from "../../../../base/index.js";
import { attr } from "../../../ir/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { WindowGeometry } from "../../geometry.js";
import type { Formulation } from "./formulation.js";
import { weightByColumns } from "./small-maps.js";
import {
  cropSpatial,
  exchange,
  isDepthwise,
  isKernelHeavy,
  type Layer,
  offsetsOf,
  pixelRows,
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

/** One group: the same with the batch folded into one long product. Shapes: [M, N·L] · [K·C, N·L]ᵀ → [M, K·C] → [M, C, …K]. */
const folded: Formulation = {
  fits: ({ group }) => group === 1,
  write: (emit, { geometry, X, W, dY }) => {
    const [outputs, channels, ...kernel] = W.dims as [number, number, ...number[]];
    const seen = emit.concat(shiftedCopies(emit, X, geometry), 1);
    const product = emit.fusedMatMul(pixelRows(emit, dY), pixelRows(emit, seen), { transB: true });
    return emit.reshape(emit.transpose(emit.reshape(product, [outputs, sizeOf(kernel), channels]), [0, 2, 1]), W.dims);
  },
};

/**
 * Two axes: one convolution of few, large kernels. X is seen as an image per sample and group whose columns interleave
 * the channels, so that a kernel of dY, dilated by stride · C/g along a row, meets every channel at every offset.
 * Shapes: X [N, g·C/g, …S], dY [N, g·M/g, …O] → [g, M/g, K·K, C/g] → [M, C/g, K, K].
 */
const interleaved = (perSample: boolean): Formulation => ({
  fits: (layer) => {
    const { geometry, X } = layer;
    const read = geometry.padsEnd.map((end, i) => end - unread(geometry, spatial(X))[i]!);
    const isPlain = read.length === 2 && geometry.dilations.every((d) => d === 1) && read.every((end) => end >= 0);
    return isPlain && !isDepthwise(layer);
  },
  write: (emit, { geometry, group, X, W, dY }) => {
    const tail = unread(geometry, spatial(X));
    const padsEnd = geometry.padsEnd.map((end, i) => end - tail[i]!);
    const sums = meetEverywhere(emit, X, dY, { ...geometry, padsEnd, group, perSample });
    return emit.reshape(emit.transpose(sums, [0, 1, 3, 2]), W.dims);
  },
});

/**
 * Stride 1: the same with the parts exchanged. dY is the image that kernels of X slide over, from the last offset to the
 * first, so that its channels are copied for each of them and not those of X.
 * Shapes: dY [N, g·M/g, …O], X [N, g·C/g, …S] → [g, C/g, K·K, M/g] → [M, C/g, K, K].
 */
const interleavedGradient = (perSample: boolean): Formulation => ({
  fits: (layer) => {
    const { kernel, strides, dilations, padsBegin, padsEnd } = layer.geometry;
    const isPlain = kernel.every(
      (k, i) => strides[i] === 1 && dilations[i] === 1 && padsBegin[i]! < k && padsEnd[i]! < k,
    );
    return kernel.length === 2 && isPlain && !isDepthwise(layer);
  },
  write: (emit, { geometry, group, X, W, dY }) => {
    const { kernel, strides } = geometry;
    const complement = (pads: readonly number[]): number[] => pads.map((pad, i) => kernel[i]! - 1 - pad);
    const pads = { padsBegin: complement(geometry.padsBegin), padsEnd: complement(geometry.padsEnd) };
    const sums = meetEverywhere(emit, dY, X, { strides, ...pads, group, perSample });
    const backwards = emit.ints(Array.from({ length: sizeOf(kernel) }, (_, i) => sizeOf(kernel) - 1 - i));
    const [turned] = emit.node("Gather", [sums, backwards], { axis: attr.int(2) });
    return emit.reshape(emit.transpose(turned, [0, 3, 1, 2]), W.dims);
  },
});

interface Meeting extends Pick<WindowGeometry, "strides" | "padsBegin" | "padsEnd"> {
  readonly group: number;
  /** Convolves each sample on its own and sums after; else the samples are the channels of one convolution. */
  readonly perSample: boolean;
}

/**
 * Σ over samples and pixels of every channel of `kernels` times every channel of `images` of its group, at every offset.
 * Shapes: images [N, g·A, H, W] → [1, N·g or g·N, H, W·A]; kernels [N, g·B, …O] → [N·g·B, 1, …O] or [g·B, N, …O];
 * result [g, B, K·K, A].
 */
function meetEverywhere(
  emit: Emitter,
  images: Val,
  kernels: Val,
  { strides, padsBegin, padsEnd, group, perSample }: Meeting,
): Val {
  const [count, all, height, width] = images.dims as [number, number, number, number];
  const channels = all / group;
  const grouped = emit.reshape(images, [count, group, channels, height * width]);
  const pixels = emit.transpose(grouped, perSample ? [0, 1, 3, 2] : [1, 0, 3, 2]);
  const image = emit.reshape(pixels, [1, count * group, height, width * channels]);
  const perColumn = (sizes: readonly number[]): number[] => [sizes[0]!, sizes[1]! * channels];
  const window = windowAttributes(
    { strides: [1, 1], dilations: perColumn(strides), padsBegin: perColumn(padsBegin), padsEnd: perColumn(padsEnd) },
    perSample ? count * group : group,
  );
  const separate = emit.reshape(kernels, [count * kernels.dims[1]!, 1, ...spatial(kernels)]);
  const [sums] = emit.node("Conv", [image, perSample ? separate : exchange(emit, kernels)], window);
  const perGroup = [group, kernels.dims[1]! / group, sizeOf(spatial(sums)) / channels, channels];
  return perSample ? sumSamples(emit, emit.reshape(sums, [count, ...perGroup])) : emit.reshape(sums, perGroup);
}

/**
 * One kernel per channel: every channel of every sample is convolved on its own by its dY, and the batch summed after.
 * Shapes: X → [1, N·C, …S], dY → [N·C, 1, …O], result [1, N·C, …≥K] → [C, 1, …K].
 */
const depthwise: Formulation = {
  fits: isDepthwise,
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

/**
 * One kernel per channel, two axes: per channel one product of all rows of dY with the rows of X that each kernel row
 * saw. It holds every pair of columns; those that a kernel column joins are added up. For runtimes whose convolutions
 * of single channels are slow: many more products, all of them dense.
 * Shapes: dY [C, N·H, W]ᵀ · X [C, N·H, K·W'] → [C·K, W·W'] · [W·W', K] → [C, 1, K, K].
 */
const rowProducts: Formulation = {
  fits: (layer) => isDepthwise(layer) && layer.geometry.kernel.length === 2,
  write: (emit, { geometry, X, W, dY }) => {
    const [channels, , down] = W.dims as [number, number, number];
    const [height, width] = geometry.output as [number, number];
    const columns = X.dims[3]!;
    const rows = X.dims[0]! * height;
    const first = (values: readonly number[], other: number): number[] => [values[0]!, other];
    const vertical = {
      kernel: first(geometry.kernel, 1),
      strides: first(geometry.strides, 1),
      dilations: first(geometry.dilations, 1),
      padsBegin: first(geometry.padsBegin, 0),
      padsEnd: first(geometry.padsEnd, 0),
      output: [height, columns],
    };
    const seen = shiftedCopies(emit, exchange(emit, X), vertical);
    const images = emit.concat(
      seen.map((shift) => emit.reshape(shift, [channels, rows, columns])),
      2,
    );
    const values = emit.reshape(exchange(emit, dY), [channels, rows, width]);
    const pairs = emit.fusedMatMul(values, images, { transA: true });
    const perRow = emit.transpose(emit.reshape(pairs, [channels, width, down, columns]), [0, 2, 1, 3]);
    const flat = emit.reshape(perRow, [channels * down, width * columns]);
    return emit.reshape(emit.matMul(flat, joinedColumns(emit, geometry, columns, X.dtype)), W.dims);
  },
};

/** 1 where a kernel column joins a column of the output to one of the image. Shapes: [W·W', K]. */
function joinedColumns(
  emit: Emitter,
  { kernel, output, strides, dilations, padsBegin }: WindowGeometry,
  columns: number,
  dtype: Val["dtype"],
): Val {
  const [elements, width] = [kernel[1]!, output[1]!];
  const step = [strides[1]!, dilations[1]!, padsBegin[1]!] as const;
  return emit.shared(`columns:${[dtype, columns, elements, width, ...step].join(";")}`, () => {
    const [stride, dilation, pad] = step;
    const data = new Float64Array(width * columns * elements);
    for (const [at, k] of offsetsOf([width, elements]) as [number, number][]) {
      const column = at * stride + k * dilation - pad;
      if (column >= 0 && column < columns) data[(at * columns + column) * elements + k] = 1;
    }
    return emit.tensor(tensorOf(dtype, [width * columns, elements], data), "columns");
  });
}

export const weightFormulations = {
  exchanged,
  depthwise,
  rowProducts,
  columns,
  folded,
  interleavedPerSample: interleaved(true),
  interleavedFolded: interleaved(false),
  interleavedGradientPerSample: interleavedGradient(true),
  interleavedGradientFolded: interleavedGradient(false),
  smallMap: weightByColumns,
} as const;

/** Measured on ONNX Runtime's CPU provider: small maps want the batch folded into one contraction, large ones a product per sample; the side of fewer channels is copied. */
export function preferredWeight(layer: Layer): keyof typeof weightFormulations {
  const pixels = sizeOf(layer.geometry.output);
  if (depthwise.fits(layer)) return "depthwise";
  if (layer.group === 1 && sizeOf(layer.geometry.kernel) === 1) return isKernelHeavy(layer) ? "folded" : "columns";
  if (weightByColumns.fits(layer) && pixels <= 25) return "smallMap";
  if (layer.W.dims[0]! < layer.X.dims[1]! && weightFormulations.interleavedGradientFolded.fits(layer))
    return pixels < 144 ? "interleavedGradientFolded" : "interleavedGradientPerSample";
  if (weightFormulations.interleavedFolded.fits(layer))
    return pixels < 144 ? "interleavedFolded" : "interleavedPerSample";
  return columns.fits(layer) ? "columns" : "exchanged";
}

/** Sum over the first axis as a product with ones, which ONNX Runtime spreads over threads. Shapes: [N, …] → […]. */
function sumSamples(emit: Emitter, a: Val): Val {
  const [count, ...rest] = a.dims as [number, ...number[]];
  const ones = emit.expand(emit.scalar(1, a), [1, count]);
  return emit.reshape(emit.matMul(ones, emit.reshape(a, [count, sizeOf(rest)])), rest);
}
