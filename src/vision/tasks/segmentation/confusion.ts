/** How often pixels of each class were taken for which: a row a class of the truth, a column an answer, the last for no answer. */
export class Confusion {
  private readonly counts: Float64Array;

  constructor(readonly classes: number) {
    this.counts = new Float64Array(classes * (classes + 1));
  }

  /** Adds pixels whose truth is a class; answers beyond the classes count as none. */
  add(truth: ArrayLike<number>, answers: ArrayLike<number>): void {
    const { classes, counts } = this;
    for (let pixel = 0; pixel < truth.length; pixel++) {
      if (truth[pixel]! < classes) counts[truth[pixel]! * (classes + 1) + Math.min(answers[pixel]!, classes)]!++;
    }
  }

  /** Pixels with a class in the truth, and how many of them were right. */
  totals(): { readonly pixels: number; readonly correct: number } {
    const all = Array.from({ length: this.classes }, (_, k) => this.of(k));
    return all.reduce((sum, { pixels, correct }) => ({ pixels: sum.pixels + pixels, correct: sum.correct + correct }), {
      pixels: 0,
      correct: 0,
    });
  }

  /**
   * Intersection over union of each class; undefined where the truth has no pixel of it.
   * Differs: torchmetrics and mmsegmentation give 0 where it was answered all the same; here the classes that count are the same for all models.
   */
  ious(): (number | undefined)[] {
    return Array.from({ length: this.classes }, (_, k) => {
      const { pixels, correct, answered } = this.of(k);
      return pixels === 0 ? undefined : correct / (pixels + answered - correct);
    });
  }

  private of(k: number): { readonly pixels: number; readonly answered: number; readonly correct: number } {
    const columns = this.classes + 1;
    let [pixels, answered] = [0, 0];
    for (let other = 0; other < columns; other++) {
      pixels += this.counts[k * columns + other]!;
      if (other < this.classes) answered += this.counts[other * columns + k]!;
    }
    return { pixels, answered, correct: this.counts[k * columns + k]! };
  }
}
