import type { NumericArray } from "../base/index.js";

/** Names a sample; equal ids stand for equal bytes. */
export type SampleId = string | number;

export interface CacheReport {
  /** Samples whose activations were found, and samples that were computed. */
  readonly hits: number;
  readonly misses: number;
  readonly sizeBytes: number;
}

/**
 * Arrays by sample, in bounded memory. What does not fit is refused, and nothing is pushed out: epochs ask for every sample in
 * turn, and throwing out the oldest would throw out exactly what is asked for next.
 */
export class PrefixCache {
  private readonly samples = new Map<string, readonly NumericArray[]>();
  private hits = 0;
  private misses = 0;
  private sizeBytes = 0;

  constructor(private readonly maximumBytes: number) {}

  find(key: string): readonly NumericArray[] | undefined {
    const found = this.samples.get(key);
    if (found) this.hits++;
    else this.misses++;
    return found;
  }

  /** Keeps arrays that nobody writes to any more, if there is room for them. */
  add(key: string, arrays: readonly NumericArray[]): void {
    const added = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (this.samples.has(key) || this.sizeBytes + added > this.maximumBytes) return;
    this.samples.set(key, arrays);
    this.sizeBytes += added;
  }

  clear(): void {
    this.samples.clear();
    this.sizeBytes = 0;
  }

  report(): CacheReport {
    return { hits: this.hits, misses: this.misses, sizeBytes: this.sizeBytes };
  }
}
