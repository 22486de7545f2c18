import { dot, mapRows, type Matrix, matrixOfRows, rowOf, softmaxRow, toUnit } from "./rows.js";

export interface Affinity {
  /** `rbf`: exp(-d²/2σ²), σ being the mean distance to the k-th neighbour, oneself counted; `knn`: 1 for k neighbours; `linear`: the product. */
  readonly kind: "rbf" | "knn" | "linear";
  readonly neighbours: number;
  /** Whether a sample is alike to itself. */
  readonly diagonal: boolean;
}

/** How much alike samples are, by the directions of their features. Shapes: [N, D] → [N, N]. */
export function affinityOf(features: Matrix, { kind, neighbours, diagonal }: Affinity): Matrix {
  const units = mapRows(features, (row) => toUnit(row));
  const indices = Array.from({ length: units.rows }, (_, i) => i);
  const distances = indices.map((i) => Float64Array.from(indices, (j) => distance(rowOf(units, i), rowOf(units, j))));
  const kernel = kernelOf(kind, units, distances, neighbours);
  if (!diagonal) kernel.forEach((row, i) => (row[i] = 0));
  return matrixOfRows(kernel, units.rows);
}

function kernelOf(
  kind: Affinity["kind"],
  units: Matrix,
  distances: readonly Float64Array[],
  neighbours: number,
): Float64Array[] {
  if (kind === "linear") return distances.map((row, i) => row.map((_, j) => dot(rowOf(units, i), rowOf(units, j))));
  if (kind === "knn") {
    return distances.map((row) => {
      const nearest = [...row.keys()].sort((a, b) => row[a]! - row[b]!).slice(1, neighbours + 1);
      return row.map((_, j) => (nearest.includes(j) ? 1 : 0));
    });
  }
  const kth = distances.map((row) => row.toSorted()[Math.min(neighbours, row.length) - 1]!);
  const sigma = kth.reduce((sum, d) => sum + d, 0) / kth.length;
  // Images that are all the same have no scale: they are alike.
  return distances.map((row) => row.map((d) => (d === 0 ? 1 : Math.exp(-(d ** 2) / (2 * sigma ** 2)))));
}

function distance(a: Float64Array, b: Float64Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));
}

export interface AgreeOptions {
  readonly strength: number;
  /** Beside the probabilities in the logarithm. */
  readonly epsilon: number;
}

/**
 * Assignments Y that keep near the probabilities and agree along the kernel: Yᵗ⁺¹ = softmax(log(p + ε) + λ·K·Yᵗ), until the energy
 * moves by less than a 10⁻⁸th, or 100 times.
 *
 * Source: Boudiaf et al. 2022, arXiv:2201.05718, eq. 7; the energy as in the authors' code, with the pairwise term of the iterate
 * before and λ in it twice. Shapes: [N, K], [N, N] → [N, K].
 */
export function agree(
  probabilities: Matrix,
  kernel: Matrix,
  { strength, epsilon }: AgreeOptions,
): { readonly assignments: Matrix; readonly iterations: number } {
  const { columns } = probabilities;
  const unary = mapRows(probabilities, (row) => row.map((p) => -Math.log(p + epsilon)));
  let assignments = mapRows(unary, (row) => softmaxRow(row.map((u) => -u)));
  let before = Infinity;
  for (let i = 0; i < 100; i++) {
    const pairwise = mapRows(kernel, (row) => {
      const sum = new Float64Array(columns);
      row.forEach((weight, j) => {
        const other = rowOf(assignments, j);
        for (let k = 0; k < columns; k++) sum[k]! += weight * other[k]!;
      });
      return sum.map((value) => strength * value);
    });
    const scores = pairwise.data.map((value, at) => value - unary.data[at]!);
    assignments = mapRows({ ...unary, data: scores }, softmaxRow);
    const energy = assignments.data.reduce((sum, y, at) => {
      const own = unary.data[at]! * y - strength * pairwise.data[at]! * y;
      return sum + own + y * Math.log(Math.max(y, 1e-20));
    }, 0);
    if (i > 1 && Math.abs(energy - before) <= 1e-8 * Math.abs(before)) return { assignments, iterations: i + 1 };
    before = energy;
  }
  return { assignments, iterations: 100 };
}
