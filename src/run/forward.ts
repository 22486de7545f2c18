import { LimberError } from "../base/index.js";
import { buildStep, type Model, type StateSlot, type Step, type StepOptions } from "../graph/index.js";
import { arrayOf as arrayOfConstant, lowered } from "./phases.js";
import type { Machine, RunTensor, Session, SessionOptions, StateBinding } from "./session.js";

export interface ForwardOptions {
  /** Whose weights: those that train (`current`, the default), those of the start (`source`), or an array of the optimizer by its name. */
  readonly weights?: string | undefined;
  /**
   * Which statistics: as a step normalizes (`plan`, the default), or as an export of these weights would. Averages that move do so in arrays
   * of their own for each kind of weights; those of the current ones are only read.
   */
  readonly statistics?: "plan" | "stored" | undefined;
  /** How much of this batch's statistics enters the tracked ones. */
  readonly statisticsMomentum?: number | undefined;
}

export interface Forward {
  readonly prediction: RunTensor;
  /** `StepOptions.observe`, by name. */
  readonly observed: Readonly<Record<string, RunTensor>>;
  /** Units: milliseconds. */
  readonly runMs: number;
}

export interface LoadedForward {
  readonly step: Pick<Step, "inputs" | "outputs">;
  readonly session: Session;
  /** The outputs that become the arrays of these weights, where all are finite. */
  readonly moved: readonly string[];
}

/** What forward passes share with the trainer whose weights they use. */
export interface ForwardHost {
  readonly machine: Machine;
  readonly options: StepOptions & SessionOptions;
  /** Of the arrays of the trainer. */
  readonly prefix: string;
  /** Makes the arrays of what an exchangeable step only reads. */
  readonly keep: (step: Step) => Promise<void>;
}

/** Forward passes over the arrays of a trainer, compiled when first needed. */
export class ForwardPasses {
  private readonly loaded = new Map<string, Promise<LoadedForward>>();
  /** Arrays that belong to kinds of weights other than the current ones, as they start. */
  private readonly own = new Map<string, StateSlot>();

  constructor(private readonly host: ForwardHost) {}

  /** `bound` is the model for one shape of the images; `slots` are the arrays of the trainer. */
  load(bound: Model, slots: readonly StateSlot[], options: ForwardOptions, key: string): Promise<LoadedForward> {
    const { weights = "current", statistics = "plan" } = options;
    const name = `${key} ${weights} ${statistics}`;
    let loaded = this.loaded.get(name);
    if (!loaded) {
      loaded = this.compile(bound, slots, weights, statistics);
      this.loaded.set(name, loaded);
      loaded.catch(() => this.loaded.delete(name));
    }
    return loaded;
  }

  private async compile(
    bound: Model,
    slots: readonly StateSlot[],
    weights: string,
    statistics: "plan" | "stored",
  ): Promise<LoadedForward> {
    const { machine, options, prefix } = this.host;
    const sources = slots.flatMap((slot) => {
      const parameter = parameterOf(slot, weights);
      return parameter === undefined ? [] : [[parameter, prefix + slot.input] as const];
    });
    if (weights !== "source" && slots.some(({ role }) => role === "parameter") && sources.length === 0) {
      const message = `predict: weights "current", "source" or an array that the optimizer keeps, got "${weights}"`;
      throw new LimberError("config.invalid", message, { weights });
    }
    const isOwn = weights !== "current";
    const parameters = sources.map(([parameter]) => parameter);
    const stored =
      statistics === "stored" && weights !== "source" ? slots.filter(({ role }) => role === "statistic") : [];
    const step = buildStep(bound, {
      statistics: statistics === "plan" ? options.statistics : "fixed",
      observe: options.observe,
      exchangeable: options.exchangeable,
      reads: {
        parameters: [...parameters, ...stored.map(({ initializer }) => initializer!)],
        rows: options.train?.rows,
      },
    });
    const arrayOf = (input: string): string => (isOwn ? `${prefix}${weights}:${input}` : prefix + input);
    const arrays = new Map([
      ...sources,
      ...stored.map(({ initializer, input }) => [initializer!, arrayOf(input)] as const),
    ]);
    const bindings = [
      ...step.reads.map(({ input, initializer }): StateBinding => {
        return { name: arrays.get(initializer!)!, input };
      }),
      ...step.state.map(({ input, output }): StateBinding => {
        return { name: arrayOf(input), input, ...(isOwn && { output }) };
      }),
      ...step.constants.map((constant) => ({ name: prefix + arrayOfConstant(constant), input: constant.input })),
    ];
    if (isOwn) {
      const starts = [...step.state, ...stored].map((slot) => [arrayOf(slot.input), slot] as const);
      await this.start(starts.filter(([array]) => !this.own.has(array)));
    }
    await this.host.keep(step);
    const { threads, optimization } = options;
    const session = await machine.createSession(
      await lowered(machine, step.model),
      { threads, optimization },
      bindings,
    );
    const { inputs, outputs } = step;
    return { step: { inputs, outputs }, session, moved: isOwn ? step.state.map(({ output }) => output) : [] };
  }

  private async start(arrays: readonly (readonly [string, StateSlot])[]): Promise<void> {
    for (const [name, slot] of arrays) this.own.set(name, slot);
    await this.host.machine.writeState(arrays.map(([name, { initial }]) => ({ name, value: initial as RunTensor })));
  }

  /** The array, of the trainer's, in which passes with these weights keep what an input of the step stands for; nothing before the first one. */
  arrayOf(input: string, weights: string): string | undefined {
    const name = `${weights}:${input}`;
    return this.own.has(this.host.prefix + name) ? name : undefined;
  }

  /** Arrays of their own start from another model from now on. */
  adopt(startIn: (slot: StateSlot) => StateSlot): void {
    for (const [name, slot] of this.own) this.own.set(name, startIn(slot));
  }

  /** Arrays of their own are as at the start. */
  reset(): Promise<void> {
    return this.start([...this.own]);
  }

  async dispose(): Promise<void> {
    for (const pass of await Promise.allSettled(this.loaded.values()))
      if (pass.status === "fulfilled") await pass.value.session.dispose();
  }
}

/** The parameter that a slot holds the given kind of weights for. */
function parameterOf({ role, initializer, buffer }: StateSlot, weights: string): string | undefined {
  if (weights === "current") return role === "parameter" ? initializer : undefined;
  return buffer?.name === weights ? buffer.parameter : undefined;
}
