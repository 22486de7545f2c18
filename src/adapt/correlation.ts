import { argmaxRow, type Matrix, rowOf } from "./rows.js";

/** Batches that the memory of the check is about. */
const MEMORY = 10;
/** Standard deviations above chance. */
const THRESHOLD = 3;

/**
 * Notices that samples next to each other share their class more often than by chance.
 *
 * Compares how many neighbours in the stream are predicted alike with Σ_k q_k², where q are the class frequencies of all samples so far and
 * one batch of uniform ones, so that a first batch of a single class counts as correlated.
 */
export class CorrelationCheck {
  private counts: Float64Array | undefined;
  private excess = 0;
  private variance = 0;

  /** Takes a batch in the order of time; true where neighbours were alike in it and those before. Shapes: [N, K]. */
  observe(probabilities: Matrix): boolean {
    const { rows, columns } = probabilities;
    const labels = Array.from({ length: rows }, (_, i) => argmaxRow(rowOf(probabilities, i)));
    this.counts ??= new Float64Array(columns).fill(rows / columns);
    for (const label of labels) this.counts[label]!++;
    const total = this.counts.reduce((sum, count) => sum + count, 0);
    const chance = this.counts.reduce((sum, count) => sum + (count / total) ** 2, 0);
    const alike = labels.filter((label, i) => i > 0 && label === labels[i - 1]).length;
    const keep = 1 - 1 / MEMORY;
    this.excess = keep * this.excess + alike - (rows - 1) * chance;
    this.variance = keep * this.variance + (rows - 1) * chance * (1 - chance);
    return this.excess > THRESHOLD * Math.sqrt(this.variance) && this.variance > 0;
  }
}
