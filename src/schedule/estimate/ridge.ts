/** X'X, X'y and y'y: all that least squares needs of its examples. */
export interface System {
  readonly count: number;
  readonly matrix: readonly Float64Array[];
  readonly vector: Float64Array;
  readonly square: number;
}

export function systemOf(rows: readonly (readonly number[])[], targets: readonly number[], width: number): System {
  const at = (j: number, k: number): number => rows.reduce((sum, row) => sum + row[j]! * row[k]!, 0);
  const to = (j: number): number => rows.reduce((sum, row, i) => sum + row[j]! * targets[i]!, 0);
  return {
    count: rows.length,
    matrix: Array.from({ length: width }, (_, j) => Float64Array.from({ length: width }, (_, k) => at(j, k))),
    vector: Float64Array.from({ length: width }, (_, j) => to(j)),
    square: targets.reduce((sum, y) => sum + y * y, 0),
  };
}

export function sumOf(systems: readonly System[], width: number): System {
  const total = systemOf([], [], width);
  let [count, square] = [0, 0];
  for (const system of systems) {
    count += system.count;
    square += system.square;
    system.vector.forEach((value, j) => (total.vector[j]! += value));
    system.matrix.forEach((row, j) => row.forEach((value, k) => (total.matrix[j]![k]! += value)));
  }
  return { ...total, count, square };
}

/** Sweeps at most; a few dozen do where features are not copies of each other. */
const SWEEPS = 500;

/** argmin ‖y - Xw‖² + shrink·n·‖w - start‖² by coordinate descent, which reaches the one minimum also with every w ≥ 0. */
export function solveRidge(
  { count, matrix, vector }: System,
  shrink: number,
  start: Float64Array,
  isRising: boolean,
): Float64Array {
  const strength = shrink * Math.max(1, count);
  const weights = start.slice();
  for (let sweep = 0, moved = Infinity; sweep < SWEEPS && moved > 1e-7; sweep++) {
    moved = 0;
    matrix.forEach((row, j) => {
      let rest = vector[j]! + strength * start[j]! + row[j]! * weights[j]!;
      for (let k = 0; k < row.length; k++) rest -= row[k]! * weights[k]!;
      const free = rest / (row[j]! + strength);
      const next = isRising ? Math.max(0, free) : free;
      moved = Math.max(moved, Math.abs(next - weights[j]!));
      weights[j] = next;
    });
  }
  return weights;
}

export function squaredError({ matrix, vector, square }: System, weights: Float64Array): number {
  return matrix.reduce(
    (sum, row, j) => sum + weights[j]! * (row.reduce((a, value, k) => a + value * weights[k]!, 0) - 2 * vector[j]!),
    square,
  );
}
