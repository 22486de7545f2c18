import type { RunTensor } from "../run/node.js";

/** Numbers in rows, in float64. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/** A batch of vectors as a matrix. Shapes: [N, …] → [N, D]. */
export function matrixOf({ dims, data }: RunTensor): Matrix {
  const rows = dims[0]!;
  return { rows, columns: data.length / rows, data: Float64Array.from(data as Float32Array) };
}

export const rowOf = ({ columns, data }: Matrix, row: number): Float64Array =>
  data.subarray(row * columns, (row + 1) * columns);

export const mapRows = (matrix: Matrix, change: (row: Float64Array) => Float64Array): Matrix => {
  const changed = Array.from({ length: matrix.rows }, (_, i) => change(rowOf(matrix, i)));
  return matrixOfRows(changed, changed[0]?.length ?? 0);
};

export function matrixOfRows(rows: readonly Float64Array[], columns: number): Matrix {
  const data = new Float64Array(rows.length * columns);
  rows.forEach((row, i) => data.set(row, i * columns));
  return { rows: rows.length, columns, data };
}

export const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);

/** x / ‖x‖, or zeros for a vector that has no direction. */
export function toUnit(vector: Float64Array, epsilon = 1e-12): Float64Array {
  const length = Math.max(Math.sqrt(dot(vector, vector)), epsilon);
  return vector.map((value) => value / length);
}

export function softmaxRow(logits: Float64Array): Float64Array {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exponentials = logits.map((value) => Math.exp(value - highest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((value) => value / sum);
}

/** -Σ p log p of softmax(logits). Units: nats. */
export function entropyOfRow(logits: Float64Array): number {
  return softmaxRow(logits).reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

/** The first place of the largest value. */
export const argmaxRow = (row: Float64Array): number =>
  row.reduce((best, value, k) => (value > row[best]! ? k : best), 0);

/** Rows as a tensor like another one: doubles where that holds doubles, as in the float64 reference. */
export const tensorLike = (like: RunTensor, { rows, columns, data }: Matrix): RunTensor => ({
  dtype: like.dtype,
  dims: [rows, columns],
  data: like.data instanceof Float64Array ? data : Float32Array.from(data),
});
