import type { RunTensor } from "../../run/node.js";
import type { Meter } from "../../vision/index.js";
import type { Level } from "../app.js";
import type { Estimator } from "../estimate/index.js";
import type { RunningApp } from "../running-app.js";
import type { VirtualClock } from "../slice/virtual-clock.test-helper.js";
import type { Signals } from "../trace.js";

/** Larger levels are better and cost more. */
export const levelsOf = (count: number): Level[] =>
  Array.from({ length: count }, (_, i) => ({
    ...{ name: `level ${i}`, size: 10 * (i + 1), memoryBytes: 1000 * (i + 1) },
    ...{ inferMs: i + 1, stepMs: 10 * (i + 1), makeMs: 30 },
  }));

export const PICTURE: RunTensor = { dtype: "float32", dims: [1, 1], data: new Float32Array(1) };

/** Takes virtual time as its levels say; its score rises with level and steps. */
export class FakeApp implements RunningApp {
  readonly task = "classification";
  level: number | undefined = 0;
  steps = 0;
  /** All that was done to it, in order. */
  readonly done: string[] = [];
  pictures = 0;
  /** What looking at it takes. */
  lookMs = 2;
  failsAt: Partial<Record<"predict" | "remodel" | "step" | "signals", Error>> = {};
  private made = { level: 0, steps: 0 };
  private served = { level: 0, steps: 0 };

  constructor(
    readonly name: string,
    private readonly clock: VirtualClock,
    readonly levels: readonly Level[] = levelsOf(3),
  ) {}

  observe(images: RunTensor): void {
    this.pictures += images.dims[0]!;
  }

  forget(kept: number): void {
    this.pictures = Math.min(this.pictures, kept);
    this.done.push(`forget all but ${kept}`);
  }

  /** The answer is the score. */
  async predict(): Promise<RunTensor> {
    const { level, steps } = this.served;
    await this.spend("predict", this.levels[level]!.inferMs, false);
    return { dtype: "float32", dims: [1], data: Float32Array.of(scoreOf(level, steps)) };
  }

  async remodel(level: number): Promise<void> {
    await this.spend("remodel", this.levels[level]!.makeMs);
    this.made = { level, steps: 0 };
    [this.level, this.steps] = [level, 0];
  }

  async step(): Promise<void> {
    await this.spend("step", this.levels[this.made.level]!.stepMs);
    this.steps = ++this.made.steps;
  }

  async swap(): Promise<void> {
    this.done.push("swap");
    this.served = { ...this.made };
  }

  async signals(): Promise<Signals> {
    await this.spend("signals", this.lookMs);
    const { level, steps } = this.served;
    const atc = scoreOf(level, steps);
    return { confidence: atc, entropy: 1 - atc, marginalEntropy: 1, atc, distance: 0, agreement: 1 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.done.push("dispose");
  }

  private async spend(what: "predict" | "remodel" | "step" | "signals", ms: number, isNoted = true): Promise<void> {
    await this.clock.sleep(ms);
    if (isNoted) this.done.push(what);
    const error = this.failsAt[what];
    if (error) throw error;
  }
}

export const scoreOf = (level: number, steps: number): number => 0.3 + 0.1 * level + 0.3 * (1 - 0.5 ** (steps / 10));

/** Knows how fake apps fare. */
export const FAKE_ESTIMATOR: Estimator = {
  record: {
    ...{ version: 1, kinds: {} },
    ...{ level: undefined!, transfer: undefined!, gain: undefined! },
  },
  score: (_, { signals }) => signals.atc,
  estimate: (_, seen) => {
    const last = seen.at(-1)!;
    return (level, steps) => scoreOf(level, (level === last.level ? last.steps : 0) + steps);
  },
  renewal: () => 0.1,
  correct: (error) => error,
};

/** Mean of the answers. */
export function createFakeMeter(): Meter {
  const values: number[] = [];
  return {
    add: ({ data }) => values.push(Number(data[0])),
    read: () => ({ value: values.reduce((a, b) => a + b, 0) / values.length, samples: values.length, details: {} }),
  };
}
