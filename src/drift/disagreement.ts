import { LimberError } from "../base/index.js";
import type { ProbabilityRows } from "./confidence.js";

/**
 * GDE, generalisation disagreement: the share of samples for which two models of separate training answer the same.
 * Source: Jiang et al. 2022, arXiv:2106.13799; true where the two together are calibrated by class, which drift takes away.
 */
export function agreementOfLabels(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    const message = `agreement: as many labels of both models, got ${a.length} and ${b.length}; predict the same samples`;
    throw new LimberError("shape.mismatch", message);
  }
  let equal = 0;
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) equal++;
  return equal / a.length;
}

/** AETTA, accuracy from the disagreement of dropout passes with the plain prediction. Source: Lee et al. 2024, arXiv:2404.01351. */
export class Aetta {
  private error: number | undefined;

  /**
   * The accuracy after one more batch: error d/(H(p̄)/ln C)³ in [0, 1 - 1/C], where d is the share of dropout answers that differ from the plain
   * ones, as a moving mean that starts at d and takes 0.4 of the new. Shapes: labels [N], passes of rows [N][C].
   * Differs: ln C to the last digit, not to four. Throws: `shape.mismatch` without a pass.
   */
  observe(labels: ArrayLike<number>, passes: readonly ProbabilityRows[]): number {
    const classes = passes[0]?.[0]?.length ?? 0;
    if (classes < 2 || passes.some((rows) => rows.length !== labels.length)) {
      const message = `aetta: passes of ${labels.length} samples and 2 classes at least, got ${passes.length} passes; run the model with dropout`;
      throw new LimberError("shape.mismatch", message);
    }
    const means = new Float64Array(classes);
    let differ = 0;
    for (const rows of passes) {
      rows.forEach((row, i) => {
        let best = 0;
        for (let k = 0; k < classes; k++) {
          means[k]! += row[k]! / (passes.length * rows.length);
          if (row[k]! > row[best]!) best = k;
        }
        if (best !== labels[i]) differ++;
      });
    }
    const disagreement = differ / (passes.length * labels.length);
    const entropy = means.reduce((sum, p) => sum - p * Math.log(p + 1e-6), 0);
    const raised = disagreement === 0 ? 0 : disagreement / (entropy / Math.log(classes)) ** 3;
    const error = Math.min(1 - 1 / classes, Math.max(0, raised));
    this.error = 0.6 * (this.error ?? disagreement) + 0.4 * error;
    return 1 - this.error;
  }
}

/**
 * When an adapted model is to go back to its source: its accuracy is below 0.2, or its mean over five batches is 0.02 below that of the five
 * before. Forgets all after a reset. Source: AETTA, as above, §5.
 */
export class ResetRule {
  private recent: number[] = [];

  /** Takes the accuracy of one more batch, estimated or true; true: reset now. */
  observe(accuracy: number): boolean {
    this.recent = [...this.recent, accuracy].slice(-10);
    const sum = (from: number): number => this.recent.slice(from, from + 5).reduce((a, b) => a + b, 0);
    const isReset = accuracy < 0.2 || (this.recent.length === 10 && sum(5) / 5 + 0.02 < sum(0) / 5);
    if (isReset) this.recent = [];
    return isReset;
  }
}
