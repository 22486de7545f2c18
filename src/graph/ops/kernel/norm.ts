import { sizeOf } from "../../../base/index.js";
import { normalizeAxis } from "../geometry.js";
import type { ReferenceTensor } from "../rule.js";
import { transpose } from "./gather.js";
import { createTensor, type Kernels, mismatch } from "./support.js";

/** Mean and biased variance of the runs `[start, start + size)` that `starts` lists. */
function moments(
  data: Float64Array,
  starts: readonly number[],
  size: number,
): readonly [mean: number, variance: number] {
  const count = starts.length * size;
  let sum = 0;
  for (const start of starts) for (let i = start; i < start + size; i++) sum += data[i]!;
  const mean = sum / count;
  let squares = 0;
  for (const start of starts) for (let i = start; i < start + size; i++) squares += (data[i]! - mean) ** 2;
  return [mean, squares / count];
}

/** y[i] = x[i] · factor + shift over one run. */
function affine(x: Float64Array, y: Float64Array, start: number, size: number, factor: number, shift: number): void {
  for (let i = start; i < start + size; i++) y[i] = x[i]! * factor + shift;
}

/** The tensor as runs of one channel of one image each. Shapes: [N, C, …spatial]. */
function channelRuns(dims: readonly number[]): {
  images: number;
  channels: number;
  size: number;
  startsOf(channel: number): number[];
} {
  const [images, channels] = dims as [number, number];
  const size = sizeOf(dims.slice(2));
  const startsOf = (channel: number): number[] =>
    Array.from({ length: images }, (_, n) => (n * channels + channel) * size);
  return { images, channels, size, startsOf };
}

function checkPerChannel(X: ReferenceTensor, ...vectors: readonly ReferenceTensor[]): void {
  const wrong = vectors.find((vector) => vector.data.length !== X.dims[1]);
  if (wrong) throw mismatch("one value per channel", X.dims, wrong.dims);
}

export const normKernels: Kernels<
  | "BatchNormalization"
  | "InstanceNormalization"
  | "LayerNormalization"
  | "GroupNormalization"
  | "MeanVarianceNormalization"
  | "LRN"
> = {
  /**
   * Running statistics move to `input · momentum + batch · (1 − momentum)` when training.
   * Differs: none from ONNX; PyTorch keeps the unbiased variance and names the other share momentum.
   */
  BatchNormalization({ X, scale, B, input_mean, input_var }, { attributes, node }) {
    checkPerChannel(X, scale, B, input_mean, input_var);
    const training = attributes.int("training_mode", 0) !== 0;
    const epsilon = attributes.float("epsilon", 1e-5);
    const momentum = attributes.float("momentum", 0.9);
    const { channels, size, startsOf } = channelRuns(X.dims);
    const y = createTensor(X.dtype, X.dims);
    const [runningMean, runningVariance] = [input_mean, input_var].map((input) =>
      createTensor(input.dtype, input.dims),
    ) as [ReferenceTensor, ReferenceTensor];
    for (let c = 0; c < channels; c++) {
      const starts = startsOf(c);
      const kept = [input_mean.data[c]!, input_var.data[c]!] as const;
      const [mean, variance] = training ? moments(X.data, starts, size) : kept;
      const factor = scale.data[c]! / Math.sqrt(variance + epsilon);
      for (const start of starts) affine(X.data, y.data, start, size, factor, B.data[c]! - mean * factor);
      runningMean.data[c] = kept[0] * momentum + mean * (1 - momentum);
      runningVariance.data[c] = kept[1] * momentum + variance * (1 - momentum);
    }
    return [y, runningMean, runningVariance].slice(0, node.outputs.length);
  },

  InstanceNormalization({ input, scale, B }, { attributes }) {
    checkPerChannel(input, scale, B);
    const epsilon = attributes.float("epsilon", 1e-5);
    const { channels, size, startsOf } = channelRuns(input.dims);
    const y = createTensor(input.dtype, input.dims);
    for (let c = 0; c < channels; c++) {
      for (const start of startsOf(c)) {
        const [mean, variance] = moments(input.data, [start], size);
        const factor = scale.data[c]! / Math.sqrt(variance + epsilon);
        affine(input.data, y.data, start, size, factor, B.data[c]! - mean * factor);
      }
    }
    return y;
  },

  LayerNormalization({ X, Scale, B }, { attributes, node }) {
    const axis = normalizeAxis(attributes.int("axis", -1), X.dims.length);
    const size = sizeOf(X.dims.slice(axis));
    if (size % Scale.data.length !== 0) throw mismatch("a scale of the normalized axes", X.dims, Scale.dims);
    const epsilon = attributes.float("epsilon", 1e-5);
    const y = createTensor(X.dtype, X.dims);
    const statistics = X.dims.map((d, i) => (i < axis ? d : 1));
    const [means, deviations] = [createTensor(X.dtype, statistics), createTensor(X.dtype, statistics)];
    for (let r = 0; r < means.data.length; r++) {
      const [mean, variance] = moments(X.data, [r * size], size);
      const inverse = 1 / Math.sqrt(variance + epsilon);
      for (let i = 0; i < size; i++) {
        const normalized = (X.data[r * size + i]! - mean) * inverse;
        const at = i % Scale.data.length;
        y.data[r * size + i] = normalized * Scale.data[at]! + (B?.data[at] ?? 0);
      }
      means.data[r] = mean;
      deviations.data[r] = inverse;
    }
    return [y, means, deviations].slice(0, node.outputs.length);
  },

  /** Before opset 21 scale and bias have one entry per group. */
  GroupNormalization({ X, scale, bias }, { attributes }) {
    const groups = attributes.int("num_groups", 1);
    const epsilon = attributes.float("epsilon", 1e-5);
    const { images, channels, size } = channelRuns(X.dims);
    const perGroup = channels / groups;
    const shared = channels / scale.data.length;
    const y = createTensor(X.dtype, X.dims);
    for (let run = 0; run < images * groups; run++) {
      const start = run * perGroup * size;
      const [mean, variance] = moments(X.data, [start], perGroup * size);
      for (let c = 0; c < perGroup; c++) {
        const at = Math.floor(((run % groups) * perGroup + c) / shared);
        const factor = scale.data[at]! / Math.sqrt(variance + epsilon);
        affine(X.data, y.data, start + c * size, size, factor, bias.data[at]! - mean * factor);
      }
    }
    return y;
  },

  /** (x − mean) / (deviation + 1e−9), as the function of the specification. */
  MeanVarianceNormalization({ X }, { attributes }) {
    const rank = X.dims.length;
    const axes = (attributes.ints("axes") ?? [0, 2, 3]).map((axis) => normalizeAxis(axis, rank));
    const order = X.dims.map((_, i) => i).sort((a, b) => Number(axes.includes(a)) - Number(axes.includes(b)));
    const rows = transpose(X, order);
    const size = sizeOf(X.dims.filter((_, i) => axes.includes(i)));
    for (let start = 0; start < rows.data.length; start += size) {
      const [mean, variance] = moments(rows.data, [start], size);
      const factor = 1 / (Math.sqrt(variance) + 1e-9);
      affine(rows.data, rows.data, start, size, factor, -mean * factor);
    }
    return transpose(
      rows,
      order.map((_, i) => order.indexOf(i)),
    );
  },

  /** y = x · (bias + alpha / size · Σ x²)^−beta, the sum over `size` neighbouring channels. */
  LRN({ X }, { attributes }) {
    const window = attributes.int("size", 1);
    const scale = attributes.float("alpha", 1e-4) / window;
    const [beta, bias] = [attributes.float("beta", 0.75), attributes.float("bias", 1)];
    const { images, channels, size } = channelRuns(X.dims);
    const y = createTensor(X.dtype, X.dims);
    for (let run = 0; run < images * channels; run++) {
      const c = run % channels;
      const first = Math.max(0, c - Math.floor((window - 1) / 2));
      const last = Math.min(channels - 1, c + Math.ceil((window - 1) / 2));
      for (let i = 0; i < size; i++) {
        let squares = 0;
        for (let near = first; near <= last; near++) squares += X.data[(run - c + near) * size + i]! ** 2;
        y.data[run * size + i] = X.data[run * size + i]! * (bias + scale * squares) ** -beta;
      }
    }
    return y;
  },
};
