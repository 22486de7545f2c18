import { LimberError, sameShape, formatShape } from "../base/index.js";
import type { RunTensor } from "../run/node.js";

/** Rows of numbers, one for each image. */
interface Rows {
  readonly count: number;
  readonly width: number;
  readonly data: Float64Array;
}

/**
 * How alike two models see the same images. 1: alike, 0: not at all, or not comparable.
 *
 * - `cka`: linear centred kernel alignment, ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖) of centred columns. Source: Kornblith et al. 2019, arXiv:1905.00414.
 * - `rsa`: rank correlation of the distances between images. Source: Kriegeskorte et al. 2008, representational similarity analysis.
 * - `cosine`: the angle between all numbers as vectors, for gradients of equal patches on the same batch.
 *
 * Shapes: [n, C1] and [n, C2], n the same images in the same order; for `cosine` two equal shapes.
 */
export const SIMILARITIES = { cka, rsa, cosine } as const satisfies Readonly<
  Record<string, (a: RunTensor, b: RunTensor) => number>
>;
export type Similarity = keyof typeof SIMILARITIES;

/** Mean of a map over its places, in float64. Shapes: [N, C, …] → [N, C], or [N, T, C] → [N, C] of tokens. */
export function poolMaps({ dims, data }: RunTensor, layout: "map" | "tokens" = "map"): RunTensor {
  const count = dims[0]!;
  const channels = layout === "map" ? dims[1]! : dims.at(-1)!;
  const places = data.length / (count * channels);
  const pooled = new Float64Array(count * channels);
  for (let at = 0; at < data.length; at++) {
    const image = Math.floor(at / (channels * places));
    const channel = layout === "map" ? Math.floor(at / places) % channels : at % channels;
    pooled[image * channels + channel]! += Number(data[at]) / places;
  }
  return { dtype: "float64", dims: [count, channels], data: pooled };
}

/** What a model makes of the images at each patch point, pooled. */
export type GroupFeatures = ReadonlyMap<number, RunTensor>;

export interface SimilarityOptions {
  /** Default `cka`. */
  readonly measure?: Similarity | undefined;
  /** How much each group counts; default: all the same. */
  readonly weights?: ReadonlyMap<number, number> | undefined;
}

/** How alike each two models are: the weighted mean over the groups that both have. Symmetric, 1 on the diagonal. */
export function similarityMatrix(
  models: readonly GroupFeatures[],
  { measure = "cka", weights }: SimilarityOptions = {},
): readonly (readonly number[])[] {
  const compare = (a: GroupFeatures, b: GroupFeatures): number => {
    let [sum, weight] = [0, 0];
    for (const [group, features] of a) {
      const other = b.get(group);
      const share = weights ? (weights.get(group) ?? 0) : 1;
      if (!other || share === 0) continue;
      sum += share * SIMILARITIES[measure](features, other);
      weight += share;
    }
    return weight === 0 ? 0 : sum / weight;
  };
  const matrix = models.map((_, i) => models.map((_, j): number => (i === j ? 1 : 0)));
  for (let i = 0; i < models.length; i++)
    for (let j = 0; j < i; j++) matrix[i]![j] = matrix[j]![i] = compare(models[i]!, models[j]!);
  return matrix;
}

/** What `cka` of all pairs takes: a kernel of n × n for each group of a model, and one product for each two. Units: multiply-accumulates. */
export function correlationMacs(models: readonly GroupFeatures[]): number {
  const features = models.flatMap((model) => [...model.values()]);
  const kernels = features.reduce((sum, { dims }) => sum + dims[0]! ** 2 * dims[1]!, 0);
  const pairs = (models.length * (models.length - 1)) / 2;
  const groups = models.length === 0 ? 0 : features.length / models.length;
  return kernels + pairs * groups * (features[0]?.dims[0] ?? 0) ** 2;
}

/** Kernels between images instead of columns: tr(XXᵀ YYᵀ) = ‖XᵀY‖², and n is mostly below C. */
function cka(a: RunTensor, b: RunTensor): number {
  const [x, y] = rowsOf(a, b).map((rows) => gramOf(centred(rows)));
  return ratio(dot(x!, y!), Math.sqrt(dot(x!, x!)) * Math.sqrt(dot(y!, y!)));
}

function rsa(a: RunTensor, b: RunTensor): number {
  const [x, y] = rowsOf(a, b).map((rows) => toDeviations(ranksOf(distancesOf(rows))));
  return Math.max(0, ratio(dot(x!, y!), Math.sqrt(dot(x!, x!) * dot(y!, y!))));
}

function cosine(a: RunTensor, b: RunTensor): number {
  if (!sameShape(a.dims, b.dims)) return 0;
  const [x, y] = [Float64Array.from(a.data as Float32Array), Float64Array.from(b.data as Float32Array)];
  return Math.max(0, ratio(dot(x, y), Math.sqrt(dot(x, x) * dot(y, y))));
}

/** Features that are constant or not finite are like nothing. Rounding must not lead beyond 1. */
const ratio = (product: number, lengths: number): number =>
  product > 0 && Number.isFinite(product / lengths) ? Math.min(1, product / lengths) : 0;

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Throws: `shape.mismatch` for features of different images. */
function rowsOf(...tensors: readonly RunTensor[]): Rows[] {
  const rows = tensors.map(({ dims, data }) => {
    const count = dims[0]!;
    return { count, width: data.length / count, data: Float64Array.from(data as Float32Array) };
  });
  if (new Set(rows.map(({ count }) => count)).size > 1) {
    const shapes = tensors.map(({ dims }) => formatShape(dims)).join(" and ");
    throw new LimberError(
      "shape.mismatch",
      `similarity: features of the same images, got ${shapes}; run the same batch`,
    );
  }
  return rows;
}

/** Seen from the first row, so that what is constant becomes 0 and not what rounding leaves of it. */
function centred({ count, width, data }: Rows): Rows {
  const shifted = data.map((value, at) => value - data[at % width]!);
  const means = new Float64Array(width);
  shifted.forEach((value, at) => (means[at % width]! += value / count));
  return { count, width, data: shifted.map((value, at) => value - means[at % width]!) };
}

/** Products of all rows with all rows. Shapes: [n, C] → [n, n]. */
function gramOf({ count, width, data }: Rows): Float64Array {
  const rows = Array.from({ length: count }, (_, i) => data.subarray(i * width, (i + 1) * width));
  const gram = new Float64Array(count * count);
  rows.forEach((row, i) => {
    for (let j = 0; j <= i; j++) gram[i * count + j] = gram[j * count + i] = dot(row, rows[j]!);
  });
  return gram;
}

/** Squared distances of each two rows, once. */
function distancesOf(rows: Rows): Float64Array {
  const { count } = rows;
  const gram = gramOf(centred(rows)); // centred, so that the differences below keep their digits
  const distances: number[] = [];
  for (let i = 0; i < count; i++)
    for (let j = 0; j < i; j++) distances.push(gram[i * count + i]! + gram[j * count + j]! - 2 * gram[i * count + j]!);
  return Float64Array.from(distances);
}

/** Places in ascending order; equal values share the mean of theirs. What is not finite has none. */
function ranksOf(values: Float64Array): Float64Array {
  if (!values.every(Number.isFinite)) return values.fill(NaN);
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]! || a - b);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let at = start; at < end; at++) ranks[order[at]!] = (start + end - 1) / 2;
    start = end;
  }
  return ranks;
}

function toDeviations(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => value - mean);
}
