import type { RunTensor } from "../run/node.js";

/** Counts of a classification; sums over batches and domains are plain additions. */
export interface Tally {
  readonly total: number;
  readonly correct: number;
  readonly skipped: number;
}

export const EMPTY_TALLY: Tally = { total: 0, correct: 0, skipped: 0 };

export const addTallies = (a: Tally, b: Tally): Tally => ({
  total: a.total + b.total,
  correct: a.correct + b.correct,
  skipped: a.skipped + b.skipped,
});

/** Share of correct answers in [0, 1]; 0 when nothing was counted. */
export const accuracyOf = ({ total, correct }: Pick<Tally, "total" | "correct">): number =>
  total === 0 ? 0 : correct / total;

/** The class with the largest value in each row; the first of equals. A row with a NaN gives -1: it is never correct. Shapes: [N, K] → [N]. */
export function argmaxRows({ dims, data }: RunTensor): Int32Array {
  const values = data as Float32Array;
  const width = values.length / dims[0]!;
  return Int32Array.from({ length: dims[0]! }, (_, row) => {
    let best = 0;
    for (let k = 0; k < width; k++) {
      const value = values[row * width + k]!;
      if (Number.isNaN(value)) return -1;
      if (value > values[row * width + best]!) best = k;
    }
    return best;
  });
}

/** Compares a batch of outputs with labels. */
export function tallyBatch(output: RunTensor, labels: Int32Array, skipped: number): Tally {
  const predicted = argmaxRows(output);
  return { total: labels.length, correct: labels.filter((label, i) => predicted[i] === label).length, skipped };
}
