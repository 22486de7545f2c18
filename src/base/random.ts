/**
 * Seeded random numbers: xoshiro128** seeded by splitmix32. The same seed gives the same stream on every platform.
 * Source: Blackman & Vigna 2018, https://prng.di.unimi.it/.
 */
export class Random {
  private s0: number;
  private s1: number;
  private s2: number;
  private s3: number;
  private spare: number | undefined;

  constructor(readonly seed: number) {
    let state = seed | 0;
    const splitmix = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) | 0;
    };
    [this.s0, this.s1, this.s2, this.s3] = [splitmix(), splitmix(), splitmix(), splitmix()];
  }

  /** An independent stream named by a label, so that adding one consumer does not shift another's numbers. */
  fork(label: string | number): Random {
    let hash = 0x811c9dc5 ^ this.seed;
    for (const char of String(label)) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193);
    return new Random(hash);
  }

  uint32(): number {
    const rotl = (x: number, k: number): number => (x << k) | (x >>> (32 - k));
    const result = Math.imul(rotl(Math.imul(this.s1, 5), 7), 9) >>> 0;
    const t = this.s1 << 9;
    this.s2 ^= this.s0;
    this.s3 ^= this.s1;
    this.s1 ^= this.s2;
    this.s0 ^= this.s3;
    this.s2 ^= t;
    this.s3 = rotl(this.s3, 11);
    return result;
  }

  /** Uniform in [0, 1) with 53 bits. */
  next(): number {
    return (this.uint32() * 2 ** 21 + (this.uint32() >>> 11)) / 2 ** 53;
  }

  uniform(low: number, high: number): number {
    return low + (high - low) * this.next();
  }

  /** A whole number in [low, high). */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low));
  }

  /** Standard normal by Box-Muller; every second draw is kept. */
  normal(mean = 0, deviation = 1): number {
    if (this.spare !== undefined) {
      const value = this.spare;
      this.spare = undefined;
      return mean + deviation * value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    const angle = 2 * Math.PI * this.next();
    this.spare = radius * Math.sin(angle);
    return mean + deviation * radius * Math.cos(angle);
  }

  /** Poisson: Knuth's product below 30, rounded normal above (within 0.5 % of the moments there). */
  poisson(lambda: number): number {
    if (lambda > 30) return Math.max(0, Math.round(this.normal(lambda, Math.sqrt(lambda))));
    const limit = Math.exp(-lambda);
    let count = 0;
    for (let product = this.next(); product > limit; product *= this.next()) count++;
    return count;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length)]!;
  }

  /** A shuffled copy (Fisher-Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.int(0, i + 1);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }

  /** The whole state, to checkpoint and resume to the same bytes. */
  save(): RandomState {
    return { seed: this.seed, words: [this.s0, this.s1, this.s2, this.s3], spare: this.spare ?? null };
  }

  static restore(state: RandomState): Random {
    const random = new Random(state.seed);
    [random.s0, random.s1, random.s2, random.s3] = state.words;
    random.spare = state.spare ?? undefined;
    return random;
  }
}

export interface RandomState {
  readonly seed: number;
  readonly words: readonly [number, number, number, number];
  readonly spare: number | null;
}
