import type { Model } from "../graph/index.js";
import { createMachine, type MachineOptions } from "./machine.js";
import { Trainer as PortableTrainer, type TrainerOptions as PortableOptions } from "./trainer.js";

export interface TrainerOptions extends Omit<PortableOptions, "machine">, MachineOptions {
  /** Where to run; default: a machine of its own on the `provider`, disposed with the trainer. */
  readonly machine?: PortableOptions["machine"] | undefined;
}

/** A trainer that makes a machine of its own where it is given none. */
export class Trainer extends PortableTrainer {
  static override create(model: Model, options: TrainerOptions): Trainer {
    const { machine } = options;
    return new Trainer(model, { ...options, machine: machine ?? createMachine(options) }, machine === undefined);
  }
}
