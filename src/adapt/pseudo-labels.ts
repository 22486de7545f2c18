import { argmaxRow, dot, type Matrix, rowOf, toUnit } from "./rows.js";

export interface CentroidOptions {
  /** Each round makes centroids of the labels of the one before; the first of the probabilities. */
  readonly rounds?: number;
  /** Classes predicted for no more samples than this get no label. */
  readonly threshold?: number;
}

/**
 * Labels by the nearest class centroid in the directions of [features, 1]: c_k = Σ_i p_ik f_i / (10⁻⁸ + Σ_i p_ik).
 *
 * Source: SHOT, Liang et al. 2020, arXiv:2002.08546, eq. 4–6. Shapes: [N, D], [N, K] → [N].
 */
export function centroidLabels(features: Matrix, probabilities: Matrix, options: CentroidOptions = {}): Int32Array {
  const { rounds = 2, threshold = 0 } = options;
  const samples = Array.from({ length: features.rows }, (_, i) => toUnit(Float64Array.of(...rowOf(features, i), 1)));
  const counts = new Float64Array(probabilities.columns);
  const predicted = samples.map((_, i) => argmaxRow(rowOf(probabilities, i)));
  for (const label of predicted) counts[label]!++;
  const classes = [...counts.keys()].filter((k) => counts[k]! > threshold);
  let labels = Int32Array.from(predicted);
  for (let round = 0; round < rounds; round++) {
    const weightOf = (i: number, k: number): number =>
      round === 0 ? rowOf(probabilities, i)[k]! : Number(labels[i] === k);
    const centroids = classes.map((k) => {
      const sum = new Float64Array(features.columns + 1);
      let total = 1e-8;
      samples.forEach((sample, i) => {
        const weight = weightOf(i, k);
        total += weight;
        if (weight > 0) sample.forEach((value, d) => (sum[d]! += weight * value));
      });
      return toUnit(sum.map((value) => value / total));
    });
    labels = Int32Array.from(samples, (sample, i) => {
      const near = argmaxRow(Float64Array.from(centroids, (centroid) => dot(sample, centroid)));
      return classes[near] ?? predicted[i]!;
    });
  }
  return labels;
}
