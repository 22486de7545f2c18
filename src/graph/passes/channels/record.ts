import {
  createArray,
  LimberError,
  isFloat,
  formatShape,
  type NumericArray,
  sameShape,
  sizeOf,
  type Tensor,
} from "../../../base/index.js";
import type { Model } from "../../ir/index.js";
import { prepareModel } from "../prepare.js";

/** What was cut: plain data, to be kept beside the model as JSON. */
export interface PruneRecord {
  /** The units of each group that were kept, of how many. */
  readonly groups: Readonly<Record<string, { readonly size: number; readonly kept: readonly number[] }>>;
  /** Weights that shrank: their shape before, and by axis the positions that were kept. */
  readonly weights: Readonly<
    Record<string, { readonly dims: readonly number[]; readonly axes: Readonly<Record<string, readonly number[]>> }>
  >;
}

/**
 * The original with the weights of the pruned model written back where they came from; all others keep their bytes.
 * `mix` blends float weights instead of replacing them: 0 leaves the original, 1 (the default) takes the pruned weights.
 * Throws: `config.invalid` when the models are not the two of the record.
 */
export function undoPruning(record: PruneRecord, pruned: Model, original: Model, mix = 1): Model {
  const whole = prepareModel(original);
  const initializers = new Map(whole.graph.initializers);
  for (const [name, value] of pruned.graph.initializers) {
    const before = initializers.get(name);
    if (!before) continue;
    const entry = record.weights[name];
    const kept = before.dims.map((size, axis) => entry?.axes[axis] ?? Array.from({ length: size }, (_, i) => i));
    const dims = kept.map((positions) => positions.length);
    if (!sameShape(before.dims, entry?.dims ?? before.dims) || !sameShape(value.dims, dims)) {
      const message = `weight "${name}": ${formatShape(dims)} cut from ${formatShape(entry?.dims ?? before.dims)} as recorded, got ${formatShape(value.dims)} and ${formatShape(before.dims)}`;
      throw new LimberError("config.invalid", message, { weight: name });
    }
    initializers.set(name, scatter(before, value, kept, mix));
  }
  return { ...whole, graph: { ...whole.graph, initializers } };
}

/** Some positions along one axis. */
export function gatherAlong(tensor: Tensor, axis: number, positions: readonly number[]): Tensor {
  const dims = tensor.dims.map((size, i) => (i === axis ? positions.length : size));
  const [source, result] = [tensor.data as NumericArray, createArray(tensor.dtype, sizeOf(dims))];
  const inner = sizeOf(tensor.dims.slice(axis + 1));
  const outer = sizeOf(tensor.dims.slice(0, axis));
  const length = tensor.dims[axis]!;
  for (let i = 0; i < outer; i++) {
    positions.forEach((position, k) => {
      const from = (i * length + position) * inner;
      copy(result, (i * positions.length + k) * inner, source, from, inner);
    });
  }
  return { dtype: tensor.dtype, dims, data: result };
}

/** Both arrays are of one element type. */
function copy(to: NumericArray, at: number, source: NumericArray, from: number, count: number): void {
  for (let i = 0; i < count; i++) to[at + i] = source[from + i]!;
}

function scatter(before: Tensor, value: Tensor, kept: readonly (readonly number[])[], mix: number): Tensor {
  const result = (before.data as NumericArray).slice();
  const source = value.data as NumericArray;
  const blends = mix !== 1 && isFloat(before.dtype);
  const strides = before.dims.map((_, axis) => sizeOf(before.dims.slice(axis + 1)));
  const offsets = kept.reduce<number[]>(
    (starts, positions, axis) =>
      starts.flatMap((start) => positions.map((position) => start + position * strides[axis]!)),
    [0],
  );
  offsets.forEach((offset, i) => {
    const [old, fresh] = [result[offset]!, source[i]!];
    result[offset] = blends ? Number(old) + mix * (Number(fresh) - Number(old)) : fresh;
  });
  return { ...before, data: result };
}
