import { LimberError } from "../../base/index.js";

/** How a classifier's answers fall on the truth. */
export interface Confusion {
  /** Counts by truth (row) and answer (column). */
  readonly matrix: readonly (readonly number[])[];
  readonly samples: number;
  /** Share of right answers. */
  readonly top1: number;
  /** Of each class the share that was found; 0 where there is none of it. */
  readonly recall: readonly number[];
  /** Of each answer the share that was right; 0 where it was never given. */
  readonly precision: readonly number[];
}

/** Throws: `config.invalid` where there is not an answer for each truth, or a class is out of range. */
export function confusionOf(truth: ArrayLike<number>, answers: ArrayLike<number>, classes: number): Confusion {
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  const isClass = (value: number | undefined): value is number => matrix[value ?? -1] !== undefined;
  for (let i = 0; i < Math.max(truth.length, answers.length); i++) {
    const [right, given] = [truth[i], answers[i]];
    if (!isClass(right) || !isClass(given)) {
      const message = `confusion: a class from 0 to ${classes - 1} and an answer for each sample, got ${right} and ${given} for sample ${i}; leave it out`;
      throw new LimberError("config.invalid", message, { sample: i });
    }
    matrix[right]![given]!++;
  }
  const hits = matrix.map((row, k) => row[k]!);
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
  return {
    matrix,
    samples: truth.length,
    top1: share(sum(hits), truth.length),
    recall: hits.map((hit, k) => share(hit, sum(matrix[k]!))),
    precision: hits.map((hit, k) => share(hit, sum(matrix.map((row) => row[k]!)))),
  };
}
