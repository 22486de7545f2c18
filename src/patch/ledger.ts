import { z } from "zod";
import { LimberError } from "../base/index.js";
import type { StepCost } from "../graph/index.js";

/** What work of an adaptation is spent on. */
export const TECHNIQUES = [
  "forward", // the forward passes of training steps
  "activationGradient",
  "weightGradient",
  "statistics", // forward passes that measure normalization anew
  "labels", // forward passes of a teacher
  "selection", // forward passes that only choose samples
  "predictor", // how many patches a drift takes
  "correlation", // how alike models are, and which patch is the best start
  "evaluation", // forward passes that tell when to stop
] as const;
export type Technique = (typeof TECHNIQUES)[number];

/** Work that was done. */
export interface Cost {
  /** Multiply-accumulates. */
  readonly macs: number;
  readonly seconds: number;
  /** Images that went through it. */
  readonly count: number;
}

export interface LedgerEntry extends Cost {
  readonly model: string;
  readonly technique: Technique;
}

export const NO_COST: Cost = { macs: 0, seconds: 0, count: 0 };

const addCosts = (a: Cost, b: Cost): Cost => ({
  macs: a.macs + b.macs,
  seconds: a.seconds + b.seconds,
  count: a.count + b.count,
});

const amount = z.number().min(0);
const storedLedger = z.array(
  z.strictObject({
    model: z.string(),
    technique: z.enum(TECHNIQUES),
    macs: amount,
    seconds: amount,
    count: amount,
  }),
);

/** What adapting some models has cost, by model and by what it was spent on: the same books for every method. */
export class Ledger {
  private readonly sums = new Map<string, LedgerEntry>();

  constructor(entries: Iterable<LedgerEntry> = []) {
    for (const entry of entries) this.add(entry);
  }

  /** Throws: `internal` for an amount that is negative or not a number. */
  add({ model, technique, ...cost }: LedgerEntry): void {
    const amounts = [cost.macs, cost.seconds, cost.count];
    if (!amounts.every((value) => Number.isFinite(value) && value >= 0))
      throw new LimberError("internal", `internal: ledger: costs of 0 or more, got ${amounts.join()}`, { model });
    const key = JSON.stringify([model, technique]);
    const sum = addCosts(this.sums.get(key) ?? NO_COST, cost);
    this.sums.set(key, { model, technique, ...sum });
  }

  /** Training steps over `images`; what was cached of `cached` among them was not computed again. */
  addSteps(model: string, perImage: StepCost, steps: { images: number; cached?: number; seconds: number }): void {
    for (const entry of trainingEntries(model, perImage, steps)) this.add(entry);
  }

  /** Each pair of model and technique once, in the order in which they first came. */
  get entries(): readonly LedgerEntry[] {
    return [...this.sums.values()];
  }

  /** The sum of all that fits. */
  total({ model, technique }: { readonly model?: string; readonly technique?: Technique } = {}): Cost {
    return this.entries
      .filter((entry) => (model ?? entry.model) === entry.model && (technique ?? entry.technique) === entry.technique)
      .reduce(addCosts, NO_COST);
  }

  byTechnique(model?: string): Readonly<Record<Technique, Cost>> {
    const totals = TECHNIQUES.map((technique) => [technique, this.total({ technique, ...(model && { model }) })]);
    return Object.fromEntries(totals) as Record<Technique, Cost>;
  }

  byModel(): ReadonlyMap<string, Cost> {
    return new Map(this.entries.map(({ model }) => [model, this.total({ model })]));
  }

  /** A new ledger of both. */
  merge(other: Ledger): Ledger {
    return new Ledger([...this.entries, ...other.entries]);
  }

  toJSON(): readonly LedgerEntry[] {
    return this.entries;
  }

  /** Throws: `data.invalid`. */
  static fromJSON(json: unknown): Ledger {
    const { data, error } = storedLedger.safeParse(json);
    if (data) return new Ledger(data);
    const message = `ledger: entries of model, technique, macs, seconds and count, got something else; ${z.prettifyError(error)}`;
    throw new LimberError("data.invalid", message);
  }
}

/** The time of a step, which is measured as a whole, is shared out by multiply-accumulates. */
function trainingEntries(
  model: string,
  { forward, frozen, activationGradient, weightGradient }: StepCost,
  { images, cached = 0, seconds }: { images: number; cached?: number; seconds: number },
): LedgerEntry[] {
  const work = {
    forward: images * forward - cached * frozen,
    activationGradient: images * activationGradient,
    weightGradient: images * weightGradient,
  };
  const whole = work.forward + work.activationGradient + work.weightGradient;
  return (["forward", "activationGradient", "weightGradient"] as const).map((technique) => {
    const macs = work[technique];
    const share = whole > 0 ? macs / whole : technique === "forward" ? 1 : 0;
    return { model, technique, macs, seconds: share * seconds, count: images };
  });
}
