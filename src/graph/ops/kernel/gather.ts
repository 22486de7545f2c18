import { normalizeAxis } from "../geometry.js";
import type { ReferenceTensor } from "../rule.js";
import { createTensor, splitAt, stridesOf, withDims } from "./support.js";

/**
 * The one way in which elements are moved: `out[i, j, …] = data[a[i] + b[j] + …]`, one list of offsets per output axis.
 * A negative offset in any list means `fill`.
 */
export function gatherOffsets(
  source: ReferenceTensor,
  offsets: readonly ArrayLike<number>[],
  fill = 0,
): ReferenceTensor {
  const dims = offsets.map((list) => list.length);
  const out = createTensor(source.dtype, dims);
  if (out.data.length === 0) return out;
  const { data } = source;
  const last = offsets.at(-1) ?? [0];
  let position = 0;
  const visit = (axis: number, base: number, inside: boolean): void => {
    if (axis >= offsets.length - 1) {
      for (let i = 0; i < last.length; i++) {
        const offset = last[i]!;
        out.data[position++] = inside && offset >= 0 ? data[base + offset]! : fill;
      }
      return;
    }
    const list = offsets[axis]!;
    for (let i = 0; i < list.length; i++) visit(axis + 1, base + list[i]!, inside && list[i]! >= 0);
  };
  visit(0, 0, true);
  return out;
}

/** `count` offsets, `step` apart. */
export const evenly = (count: number, step: number, start = 0): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => start + i * step);

/** Picks indices along some axes and keeps the others whole. An index of −1 means `fill`. */
export function selectIndices(
  source: ReferenceTensor,
  indices: ReadonlyMap<number, ArrayLike<number>>,
  fill = 0,
): ReferenceTensor {
  const strides = stridesOf(source.dims);
  const offsets = source.dims.map((size, axis) => {
    const chosen = indices.get(axis);
    return chosen ? Float64Array.from(chosen, (index) => index * strides[axis]!) : evenly(size, strides[axis]!);
  });
  return gatherOffsets(source, offsets, fill);
}

export function transpose(source: ReferenceTensor, perm: readonly number[]): ReferenceTensor {
  const strides = stridesOf(source.dims);
  return gatherOffsets(
    source,
    perm.map((axis) => evenly(source.dims[axis]!, strides[axis]!)),
  );
}

/** Repeats axes of size 1 (and missing leading ones) up to `dims`; the same tensor when nothing is to be done. */
export function broadcastTo(source: ReferenceTensor, dims: readonly number[]): ReferenceTensor {
  const lead = dims.length - source.dims.length;
  if (source.dims.every((d, i) => d === dims[i + lead])) {
    const copies = dims.slice(0, lead).reduce((n, d) => n * d, 1);
    if (copies === 1) return withDims(source, dims);
  }
  if (source.data.length === 1)
    return createTensor(source.dtype, dims, createTensor(source.dtype, dims).data.fill(source.data[0]!));
  const strides = stridesOf(source.dims);
  const offsets = dims.map((size, i) => evenly(size, i < lead || source.dims[i - lead] === 1 ? 0 : strides[i - lead]!));
  return gatherOffsets(source, offsets);
}

/** Several tensors joined along an axis. */
export function concatenate(parts: readonly ReferenceTensor[], axis: number): ReferenceTensor {
  const first = parts[0]!;
  const at = normalizeAxis(axis, first.dims.length);
  const length = parts.reduce((sum, part) => sum + part.dims[at]!, 0);
  const out = createTensor(first.dtype, first.dims.with(at, length));
  const [outer, , inner] = splitAt(out.dims, at);
  let start = 0;
  for (const part of parts) {
    const run = part.dims[at]! * inner;
    for (let o = 0; o < outer; o++)
      out.data.set(part.data.subarray(o * run, (o + 1) * run), o * length * inner + start);
    start += run;
  }
  return out;
}

/**
 * Applies a map of rows along one axis: each row of the input, contiguous, gives one row of each output.
 * Shapes: [..., n, ...] → one [..., lengths[i], ...] per output.
 */
export function mapRows(
  source: ReferenceTensor,
  axis: number,
  lengths: readonly number[],
  map: (row: Float64Array, outputs: readonly Float64Array[]) => void,
): ReferenceTensor[] {
  const rank = source.dims.length;
  const at = normalizeAxis(axis, rank);
  const toLast = source.dims.flatMap((_, i) => (i === at ? [] : [i])).concat(at);
  const back = toLast.map((_, i) => toLast.indexOf(i));
  const rows = transpose(source, toLast);
  const n = source.dims[at]!;
  const results = lengths.map((length) => createTensor(source.dtype, rows.dims.with(-1, length)));
  const count = n === 0 ? 0 : rows.data.length / n;
  for (let r = 0; r < count; r++) {
    const outputs = results.map((result, i) => result.data.subarray(r * lengths[i]!, (r + 1) * lengths[i]!));
    map(rows.data.subarray(r * n, (r + 1) * n), outputs);
  }
  return results.map((result) => transpose(result, back));
}
