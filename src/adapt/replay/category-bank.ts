/** A sample of the bank: which class it was taken for, how unsure the prediction was, how long it has been there. */
export interface Banked<T> {
  readonly sample: T;
  /** Units: nats. */
  readonly uncertainty: number;
  /** Samples that came since, kept or not. */
  readonly age: number;
}

export interface CategoryBankOptions {
  readonly capacity: number;
  readonly classes: number;
  /** Weight of age in the score that decides what goes. */
  readonly timeWeight?: number;
  /** Weight of uncertainty. */
  readonly uncertaintyWeight?: number;
  /** Which of equal scores goes. Default `last`. */
  readonly ties?: "last" | "first";
  /** Whether a class holds its share of the capacity rounded up, `fraction`, or down. Default `fraction`. */
  readonly share?: "fraction" | "whole";
}

/**
 * A memory that keeps classes balanced, samples young and predictions sure while a stream brings one class after another.
 *
 * A class holds at most its share of the capacity. A new sample of a full class competes with that class, otherwise in a full bank
 * with the largest classes: the highest score λ_t / (1 + e^(-age/capacity)) + λ_u · uncertainty / ln(classes) goes, and where that
 * is the new one's, nothing changes.
 * Source: CSTU of RoTTA, Yuan et al. 2023, arXiv:2303.13899, §3.3. By default as in the authors' code: a share of 6.4
 * takes 7 samples and the last of equal scores goes.
 */
export class CategoryBank<T> {
  private classes: Banked<T>[][];
  private readonly options: Required<CategoryBankOptions>;

  constructor(options: CategoryBankOptions) {
    this.options = { timeWeight: 1, uncertaintyWeight: 1, ties: "last", share: "fraction", ...options };
    this.classes = Array.from({ length: options.classes }, () => []);
  }

  /** Offers a sample under its predicted class; tells whether it was kept. Ages all by 1. */
  add(sample: T, label: number, uncertainty: number): boolean {
    const kept = this.makeRoom(label, this.score({ age: 0, uncertainty }));
    if (kept) this.classes[label]!.push({ sample, uncertainty, age: 0 });
    this.classes = this.classes.map((held) => held.map((item) => ({ ...item, age: item.age + 1 })));
    return kept;
  }

  /** What is held, class by class, each from old to young. */
  items(): readonly Banked<T>[] {
    return this.classes.flat();
  }

  clear(): void {
    this.classes = this.classes.map(() => []);
  }

  private makeRoom(label: number, score: number): boolean {
    const { capacity, classes, share } = this.options;
    const sizes = this.classes.map(({ length }) => length);
    const quota = share === "fraction" ? capacity / classes : Math.max(1, Math.floor(capacity / classes));
    if (sizes[label]! >= quota) return this.evict([label], score);
    if (this.items().length < capacity) return true;
    const most = Math.max(...sizes);
    return this.evict(
      sizes.flatMap((size, index) => (size === most ? [index] : [])),
      score,
    );
  }

  /** Lets the highest score of these classes go, if it is above the limit. */
  private evict(labels: readonly number[], limit: number): boolean {
    let worst = { label: -1, index: -1, score: -Infinity };
    for (const label of labels) {
      this.classes[label]!.forEach((item, index) => {
        const score = this.score(item);
        if (score > worst.score || (score === worst.score && this.options.ties === "last"))
          worst = { label, index, score };
      });
    }
    if (!(worst.score > limit)) return false;
    this.classes[worst.label]!.splice(worst.index, 1);
    return true;
  }

  private score({ age, uncertainty }: Pick<Banked<T>, "age" | "uncertainty">): number {
    const { capacity, classes, timeWeight, uncertaintyWeight } = this.options;
    return timeWeight / (1 + Math.exp(-age / capacity)) + (uncertaintyWeight * uncertainty) / Math.log(classes);
  }
}
