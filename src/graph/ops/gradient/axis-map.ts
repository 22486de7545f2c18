import { sizeOf, tensorOf } from "../../../base/index.js";
import type { Emitter, Val } from "../emit.js";

/** What one output element reads on its axis: pairs of source index and weight. */
export type Taps = readonly (readonly [source: number, weight: number])[];

export const rowsFor = (count: number, taps: (output: number) => Taps): Taps[] =>
  Array.from({ length: count }, (_, o) => taps(o));

/**
 * Adjoint of y[o] = Σ weight · x[source] along one axis, as one product with the constant matrix of the map.
 * Shapes: axis of rows.length → axis of `size`.
 */
export function applyTransposed(emit: Emitter, a: Val, axis: number, rows: readonly Taps[], size: number): Val {
  const matrix = new Float64Array(rows.length * size);
  rows.forEach((taps, o) => {
    for (const [source, weight] of taps) matrix[o * size + source]! += weight;
  });
  const map = emit.tensor(tensorOf(a.dtype, [rows.length, size], matrix), "axisMap");
  const lead = sizeOf(a.dims.slice(0, axis));
  const trail = sizeOf(a.dims.slice(axis + 1));
  const dims = a.dims.with(axis, size);
  if (trail === 1) return emit.reshape(emit.matMul(emit.reshape(a, [lead, rows.length]), map), dims);
  return emit.reshape(emit.fusedMatMul(map, emit.reshape(a, [lead, rows.length, trail]), { transA: true }), dims);
}
