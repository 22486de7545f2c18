import type { Model } from "../graph/index.js";
import type { Machine } from "./session.js";
import { Trainer, type TrainerOptions } from "./trainer.js";

/** Trainers that are kept; beyond that the one that was not asked for longest is given back. */
const KEPT = 8;

/**
 * Trainers that are kept from model to model: for the next model of an architecture the compiled steps are taken over with its weights.
 * The machine is the caller's.
 */
export class KeptTrainers implements AsyncDisposable {
  private readonly trainers = new Map<string, Trainer>();

  constructor(readonly machine: Machine) {}

  /** A trainer of the model, at its start. `key` stands for the options: equal keys have to mean equal ones. Valid until it is asked for again. */
  async take(key: string, model: Model, options: Omit<TrainerOptions, "machine" | "exchangeable">): Promise<Trainer> {
    const known = this.trainers.get(key);
    this.trainers.delete(key);
    const isFit = (await known?.adopt(model)) === true;
    if (!isFit) await known?.[Symbol.asyncDispose]();
    const trainer = isFit ? known! : Trainer.create(model, { ...options, machine: this.machine, exchangeable: true });
    this.trainers.set(key, trainer);
    const [oldest] = this.trainers;
    if (this.trainers.size > KEPT) {
      this.trainers.delete(oldest![0]);
      await oldest![1][Symbol.asyncDispose]();
    }
    return trainer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const trainer of this.trainers.values()) await trainer[Symbol.asyncDispose]();
    this.trainers.clear();
  }
}

/** A trainer for a while. */
export interface Lease extends AsyncDisposable {
  readonly trainer: Trainer;
}

/** A trainer that is kept, where trainers are; else one that is given back at the end. */
export async function rentTrainer(
  kept: KeptTrainers | undefined,
  key: string,
  model: Model,
  options: Omit<TrainerOptions, "exchangeable">,
): Promise<Lease> {
  if (kept) return { trainer: await kept.take(key, model, options), [Symbol.asyncDispose]: () => Promise.resolve() };
  const trainer = Trainer.create(model, options);
  return { trainer, [Symbol.asyncDispose]: () => trainer[Symbol.asyncDispose]() };
}
