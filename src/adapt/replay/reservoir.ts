import type { Random } from "../../base/index.js";

/**
 * A uniform sample of fixed size of a stream of unknown length: every element so far is in it with the same probability.
 * Source: Vitter 1985, algorithm R.
 */
export class Reservoir<T> {
  private readonly held: T[] = [];
  private seen = 0;

  constructor(
    readonly capacity: number,
    private readonly random: Pick<Random, "int">,
  ) {}

  /** Offers the next element; gives the place it took, or undefined where it was passed over. */
  add(element: T): number | undefined {
    const place = this.seen < this.capacity ? this.seen : this.random.int(0, this.seen + 1);
    this.seen++;
    if (place >= this.capacity) return undefined;
    this.held[place] = element;
    return place;
  }

  items(): readonly T[] {
    return this.held;
  }

  clear(): void {
    this.held.length = 0;
    this.seen = 0;
  }
}
