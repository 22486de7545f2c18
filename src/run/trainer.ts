import { LimberError, zeros } from "../base/index.js";
import {
  buildStep,
  buildStepInParts,
  type Constant,
  findFrontier,
  haveSameStructure,
  inferShapes,
  isMeasured,
  type Model,
  modelFrom,
  putRows,
  type StateSlot,
  type Step,
  type StepOptions,
  takeRows,
  type ValueInfo,
} from "../graph/index.js";
import { type Forward, type ForwardOptions, ForwardPasses } from "./forward.js";
import { checkImages } from "./predictor.js";
import { arrayOf, phasesOf } from "./phases.js";
import { FrozenPrefix } from "./prefix.js";
import { type CacheReport, PrefixCache, type SampleId } from "./prefix-cache.js";
import { readTensorFile, writeTensorFile } from "./safetensors.js";
import type { Feeds, Machine, Results, RunTensor, Session, SessionOptions, StateArray } from "./session.js";
import { checkTargets, extraFeeds, scalarFeed } from "./step-feeds.js";
import { inTurns } from "./turn.js";

export interface TrainerOptions extends StepOptions, SessionOptions {
  /** Where to run. */
  readonly machine: Machine;
  /** Memory for the activations of frozen layers, kept by the ids of `Batch.samples`. Units: bytes; default 256 MiB. */
  readonly cacheBytes?: number | undefined;
}

export interface Batch {
  /** Shapes: [N, C, H, W], already preprocessed. */
  readonly images: RunTensor;
  /** Class indices (int64 [N], or [N, H, W] with a class per pixel) or values shaped like the output, as the loss asks. */
  readonly targets?: RunTensor | undefined;
  /**
   * An id for each image, where the same images come again: what frozen layers in front of the first trained one make of
   * them is then computed once per id (`cacheBytes`). Equal ids must stand for equal images: none for augmented ones.
   * With and without a hit, results are the same to the bit; `statistics: { …, layers: "trained" }` keeps layers frozen
   * that statistics of the batch would change.
   */
  readonly samples?: readonly SampleId[] | undefined;
  /** What the loss or the optimizer asks for besides (`Step.inputs.extra`), by its names. */
  readonly inputs?: Feeds | undefined;
}

export interface StepSettings {
  readonly learningRate?: number | undefined;
  /** How much of this batch's statistics enters the tracked ones. */
  readonly statisticsMomentum?: number | undefined;
  /**
   * Whether the prediction and what is observed are wanted. Default true. Where many steps train and nobody looks, tens of megabytes a second that
   * never leave the machine are as many that the collector of this thread need not stop for.
   */
  readonly answers?: boolean | undefined;
}

export interface ResetOptions {
  /** Leaves arrays of these kinds as they are. */
  readonly keeps?: readonly StateSlot["role"][] | undefined;
}

export interface StepReport {
  /** Output of the model before the update. Shapes: [N, K] for classification. */
  readonly prediction: RunTensor;
  readonly loss: number | undefined;
  readonly gradientNorm: number | undefined;
  /** What the loss measures besides, and the values of `StepOptions.observe`, by their names. */
  readonly measures: Readonly<Record<string, RunTensor>>;
  readonly observed: Readonly<Record<string, RunTensor>>;
  /** False when the loss, a gradient or a tracked statistic was not finite: weights, statistics and optimizer are as before. */
  readonly accepted: boolean;
  /** False also where the loss left the update out: statistics and what it carries went on. */
  readonly updated: boolean;
  /** Time of the step inside of the runtime. Units: milliseconds. */
  readonly runMs: number;
}

/** What a step tells where its answers are not wanted. */
export type QuietReport = Omit<StepReport, "prediction" | "observed">;

let trainers = 0;

interface LoadedStep {
  /** Without its model: that would keep a second copy of all that does not train. */
  readonly step: Omit<Step, "model">;
  /** Of the prediction: length of its second axis, NaN without one. */
  readonly classes: number;
  readonly session: Session;
  /** Computes what the step starts from, where that is not the image. */
  readonly frozen?: FrozenPrefix | undefined;
}

/**
 * Runs training steps of one model and owns its weights while they change.
 *
 * Steps are compiled per shape of a batch when first needed and share the weights.
 * Throws: what `buildStep` throws; `run.failed`; `shape.mismatch` for a batch that does not fit the model;
 * `data.invalid` for a label that is none of its classes.
 */
export class Trainer implements AsyncDisposable {
  private readonly steps = new Map<string, Promise<LoadedStep>>();
  private readonly image: ValueInfo;
  private readonly kept: PrefixCache;
  private readonly prefixes = new Map<string, Promise<FrozenPrefix | undefined>>();
  private readonly forwards: ForwardPasses;
  private slots: readonly StateSlot[] = [];
  /** Of an exchangeable trainer: the arrays that its steps only read. */
  private readonly constants = new Map<string, Constant>();
  /** Sets this trainer's arrays apart from those of others on the same machine. */
  private readonly prefix = `${++trainers}/`;

  private readonly machine: Machine;

  protected constructor(
    private source: Model,
    private readonly options: TrainerOptions,
    /** The machine ends with the trainer. */
    private readonly ownsMachine = false,
  ) {
    this.machine = options.machine;
    const { inputs, initializers } = source.graph;
    const images = inputs.filter((v) => !initializers.has(v.name));
    if (images.length !== 1) {
      const message = `model: one image input, got ${images.length} (${images.map(({ name }) => name).join(", ")})`;
      throw new LimberError("config.invalid", message);
    }
    this.image = images[0]!;
    this.kept = new PrefixCache(options.cacheBytes ?? 256 * 2 ** 20);
    const keep = (step: Step): Promise<void> => this.keepConstants(step);
    this.forwards = new ForwardPasses({ machine: options.machine, options, prefix: this.prefix, keep });
  }

  /** The model as it was given; its weights are those of the start. */
  get model(): Model {
    return this.source;
  }

  /** Prepares a trainer; `model` is opset 17 or later with its batch axis free or equal to the batches to come. */
  static create(model: Model, options: TrainerOptions): Trainer {
    return new Trainer(model, options);
  }

  /** One step on one batch. */
  step(batch: Batch, settings: StepSettings & { readonly answers: false }): Promise<QuietReport>;
  step(batch: Batch, settings?: StepSettings): Promise<StepReport>;
  async step(
    { images, targets, samples, inputs: given = {} }: Batch,
    { answers = true, ...settings }: StepSettings = {},
  ): Promise<QuietReport> {
    checkImages(this.image, images);
    if (samples && samples.length !== images.dims[0]) {
      const message = `step: an id for each of ${images.dims[0]} images, got ${samples.length}`;
      throw new LimberError("config.invalid", message, { samples: samples.length });
    }
    const { step, classes, session, frozen } = await this.load(images.dims, samples !== undefined);
    const { inputs, outputs } = step;
    const feeds: Record<string, RunTensor> = extraFeeds(step, given);
    if (inputs.targets) {
      if (!targets) throw new LimberError("config.invalid", `step: targets (${step.targets}) for the loss, got none`);
      checkTargets(step, classes, targets);
      feeds[inputs.targets.name] = targets;
    }
    if (inputs.learningRate) feeds[inputs.learningRate] = scalarFeed(settings.learningRate, "learning rate");
    if (inputs.statisticsMomentum)
      feeds[inputs.statisticsMomentum] = scalarFeed(settings.statisticsMomentum ?? 0, "statistics momentum");
    const start = frozen && samples && (await frozen.run(images, samples));
    for (const { name } of inputs.data) feeds[name] = start?.feeds[name] ?? images;
    const measures = [outputs.loss, outputs.gradientNorm].filter((name) => name !== undefined);
    const answered = answers ? [outputs.prediction, ...outputs.observed] : [];
    const fetches = [...answered, ...measures, ...outputs.measures.values()];
    const statistics = step.state.filter(({ role }) => isMeasured(role)).map(({ output }) => output);
    const finite = [...(measures.length > 0 ? measures : [outputs.prediction]), ...statistics];
    const result = await session.run(feeds, { fetches, finite, updateIf: outputs.applies });
    const numberOf = (name: string | undefined): number | undefined =>
      name === undefined ? undefined : Number(result.outputs[name]!.data[0]);
    const told: Partial<StepReport> = answers
      ? {
          prediction: result.outputs[outputs.prediction]!,
          observed: pick(
            result.outputs,
            outputs.observed.map((name) => [name, name]),
          ),
        }
      : {};
    return {
      ...told,
      loss: numberOf(outputs.loss),
      gradientNorm: numberOf(outputs.gradientNorm),
      measures: pick(result.outputs, outputs.measures),
      accepted: result.accepted,
      updated: result.updated,
      runMs: (start?.runMs ?? 0) + result.runMs,
    };
  }

  /** A forward pass alone. Throws: `config.invalid` for weights that there are none of. */
  async predict(images: RunTensor, options: ForwardOptions = {}): Promise<Forward> {
    checkImages(this.image, images);
    const bound = this.bind(images.dims);
    await this.claim(() => buildStep(bound, this.options));
    const key = images.dims.join("x");
    const { step, session, moved } = await this.forwards.load(bound, this.slots, options, key);
    const { prediction, observed } = step.outputs;
    const feeds: Record<string, RunTensor> = { [this.image.name]: images };
    const { statisticsMomentum: momentum } = step.inputs;
    if (momentum) feeds[momentum] = scalarFeed(options.statisticsMomentum ?? 0, "statistics momentum");
    const { outputs, runMs } = await session.run(feeds, { fetches: [prediction, ...observed], finite: moved });
    const values = observed.map((name) => [name, name] as const);
    return { prediction: outputs[prediction]!, observed: pick(outputs, values), runMs };
  }

  /** Compiles the step for a batch before it is needed; tells how long that took. Units: milliseconds. */
  async warmUp(imageDims: readonly number[]): Promise<number> {
    const { session } = await this.load(imageDims, false);
    return session.createMs;
  }

  /** How often activations of frozen layers were found, and the memory that they take. */
  get cache(): CacheReport {
    return this.kept.report();
  }

  /** Drops kept activations, when other samples are to come. */
  forgetSamples(): void {
    this.kept.clear();
  }

  private load(imageDims: readonly number[], hasSamples: boolean): Promise<LoadedStep> {
    const key = `${imageDims.join("x")}${hasSamples ? " samples" : ""}`;
    let loaded = this.steps.get(key);
    if (!loaded) {
      loaded = hasSamples ? this.compileSplit(imageDims) : this.compile(this.bind(imageDims));
      this.steps.set(key, loaded);
      loaded.catch(() => this.steps.delete(key));
    }
    return loaded;
  }

  private bind(imageDims: readonly number[]): Model {
    return inferShapes(this.source, { inputDims: { [this.image.name]: imageDims } });
  }

  /** The step from the last values that do not change on; the whole step where that is the image. */
  private async compileSplit(imageDims: readonly number[]): Promise<LoadedStep> {
    const model = this.bind(imageDims);
    const key = imageDims.slice(1).join("x");
    // One for all batch sizes: what is kept of a sample serves in each of them.
    const pending = this.prefixes.get(key) ?? this.createPrefix(model, imageDims);
    this.prefixes.set(key, pending);
    pending.catch(() => this.prefixes.delete(key));
    const frozen = await pending;
    if (!frozen) return this.load(imageDims, false);
    const rest = modelFrom(model, frozen.frontier, this.options.train?.parameters);
    return { ...(await this.compile(rest)), frozen };
  }

  private async createPrefix(model: Model, imageDims: readonly number[]): Promise<FrozenPrefix | undefined> {
    const frontier = findFrontier(model, this.options);
    const { machine, kept: cache } = this;
    const session = { threads: this.options.threads, optimization: this.options.optimization };
    return frontier && FrozenPrefix.create(this.source, imageDims, frontier, { machine, cache, session });
  }

  private async compile(model: Model): Promise<LoadedStep> {
    const step = await inTurns(buildStepInParts(model, this.options));
    await this.claim(() => step);
    await this.keepConstants(step);
    const { threads, optimization } = this.options;
    const [{ model: bytes, bindings }, update] = await phasesOf(this.machine, step, this.prefix);
    const session = await this.machine.createSession(bytes, { threads, optimization }, bindings, update);
    const { model: written, ...rest } = step;
    const { dims } = written.graph.outputs.find(({ name }) => name === step.outputs.prediction)!;
    return { step: rest, classes: Number(dims?.[1]), session };
  }

  /** Makes the arrays that all steps share, with the first of them. */
  private async claim(build: () => Step): Promise<void> {
    if (this.slots.length > 0) return;
    this.slots = build().state;
    await this.writeInitial();
  }

  /** Makes the arrays of what a step only reads, where no other step has. */
  private async keepConstants({ constants }: Step): Promise<void> {
    const fresh = constants.map((constant) => [arrayOf(constant), constant] as const);
    await this.writeConstants(fresh.filter(([name]) => !this.constants.has(name)));
  }

  private async writeConstants(arrays: readonly (readonly [string, Constant])[]): Promise<void> {
    for (const [name, constant] of arrays) this.constants.set(name, constant);
    await this.write(arrays.map(([name, constant]) => [name, this.valueOf(constant)]));
  }

  /** What the model has for a weight, or for rows of it. */
  private valueOf({ initializer, rows }: Pick<Constant, "initializer" | "rows">): RunTensor {
    const whole = this.source.graph.initializers.get(initializer)!;
    return (rows ? takeRows(whole, rows) : whole) as RunTensor;
  }

  /**
   * Goes on with another model of the same architecture, as if made for it, and compiles nothing; only an exchangeable trainer can. False, and
   * unchanged, where the model differs in more than weights.
   */
  async adopt(model: Model): Promise<boolean> {
    if (!this.options.exchangeable || !haveSameStructure(this.source, model)) return false;
    this.source = model;
    const startIn = (slot: StateSlot): StateSlot => {
      const initializer = slot.initializer ?? slot.buffer?.parameter;
      if (initializer === undefined) return slot;
      const owner = this.slots.find((other) => other.initializer === initializer);
      return { ...slot, initial: this.valueOf({ initializer, rows: (slot.buffer ? owner : slot)?.rows }) };
    };
    this.slots = this.slots.map(startIn);
    this.forwards.adopt(startIn);
    await this.writeConstants([...this.constants]);
    await this.forgetPrefixes();
    await this.reset();
    return true;
  }

  /** Frozen layers in front are sessions of one model's weights. */
  private async forgetPrefixes(): Promise<void> {
    this.kept.clear();
    for (const [key, loading] of this.steps) {
      const { session, frozen } = await loading;
      if (!frozen) continue;
      this.steps.delete(key);
      await session.dispose();
    }
    for (const prefix of this.prefixes.values()) await (await prefix)?.dispose();
    this.prefixes.clear();
  }

  private writeInitial({ keeps = [] }: ResetOptions = {}): Promise<void> {
    const slots = this.slots.filter(({ role }) => !keeps.includes(role));
    return this.write(
      slots.map(({ input, initial, role, buffer }) => {
        const { dtype, dims } = initial;
        const isZero = role === "optimizer" && !this.options.train?.optimizer.copies?.includes(buffer!.name);
        return [input, isZero ? { dtype, dims } : initial];
      }),
    );
  }

  /** Copies values that stand for several arrays, since each array is changed in place. */
  private write(arrays: readonly (readonly [string, StateArray["value"]])[]): Promise<void> {
    const taken = new Set<unknown>();
    const ownCopy = (value: StateArray["value"]): StateArray["value"] => {
      if (!("data" in value)) return value;
      if (!taken.has(value.data)) return (taken.add(value.data), value);
      return { ...value, data: value.data.slice() };
    };
    return this.machine.writeState(
      arrays.map(([input, value]) => ({ name: this.prefix + input, value: ownCopy(value) })),
    );
  }

  private async read(slots: readonly StateSlot[]): Promise<Map<string, RunTensor>> {
    const values = await this.machine.readState(slots.map(({ input }) => this.prefix + input));
    return new Map(slots.map(({ input }) => [input, values.get(this.prefix + input)!]));
  }

  /** Back to the weights, statistics, optimizer and what losses carry as at the start, to the byte. */
  async reset(options?: ResetOptions): Promise<void> {
    if (this.slots.length > 0) await this.writeInitial(options);
    await this.forwards.reset();
  }

  /** What the optimizer keeps of each parameter under a name; of the rows that train, zeros elsewhere. */
  async readBuffer(name: string): Promise<Map<string, RunTensor>> {
    const kept = this.slots.filter(({ buffer }) => buffer?.name === name);
    const values = await this.read(kept);
    return new Map(
      kept.map(({ input, buffer }) => {
        const { parameter } = buffer!;
        const rows = this.slots.find(({ initializer }) => initializer === parameter)?.rows;
        const whole = this.source.graph.initializers.get(parameter)!;
        const value = values.get(input)!;
        return [parameter, rows ? (putRows(zeros(whole.dtype, whole.dims), rows, value) as RunTensor) : value];
      }),
    );
  }

  /**
   * The model with its weights and tracked statistics: same inputs, outputs, names and metadata. `weights` may name an array that the
   * optimizer keeps of each parameter; statistics are then those that forward passes with these weights have tracked.
   */
  async exportModel({ weights = "current" }: Pick<ForwardOptions, "weights"> = {}): Promise<Model> {
    const owned = this.slots.filter((slot) => slot.initializer !== undefined);
    if (owned.length === 0) return this.source;
    const arrayOf = (slot: StateSlot): string => {
      if (weights === "current") return slot.input;
      if (slot.role === "statistic") return this.forwards.arrayOf(slot.input, weights) ?? slot.input;
      const kept = this.slots.find(({ buffer }) => buffer?.name === weights && buffer.parameter === slot.initializer);
      return (kept ?? slot).input;
    };
    const values = await this.machine.readState(owned.map((slot) => this.prefix + arrayOf(slot)));
    const initializers = new Map(this.source.graph.initializers);
    for (const slot of owned) {
      const { initializer, rows } = slot;
      const value = values.get(this.prefix + arrayOf(slot))!;
      initializers.set(initializer!, rows ? putRows(initializers.get(initializer!)!, rows, value) : value);
    }
    return { ...this.source, graph: { ...this.source.graph, initializers } };
  }

  /** Everything that is needed to go on to the same bytes, as a safetensors file. */
  async checkpoint(metadata: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
    return writeTensorFile({ tensors: await this.read(this.slots), metadata });
  }

  /**
   * Goes back to a checkpoint of the same model and options; gives the metadata stored with it.
   * Throws: `data.invalid` when arrays are missing, too many, or of another shape. The trainer is then unchanged.
   */
  async restore(bytes: Uint8Array, imageDims: readonly number[]): Promise<Readonly<Record<string, string>>> {
    const { tensors, metadata } = readTensorFile(bytes);
    await this.load(imageDims, false);
    const own = new Set(this.slots.map(({ input }) => input));
    const foreign = [...tensors.keys()].find((name) => !own.has(name));
    if (foreign !== undefined) {
      const message = `checkpoint: ${own.size} arrays of this model and method, got one more, "${foreign}"; it belongs to another model or method`;
      throw new LimberError("data.invalid", message, { array: foreign });
    }
    const arrays = this.slots.map(({ input, initial }) => {
      const value = tensors.get(input);
      if (!value || value.dims.join() !== initial.dims.join() || value.dtype !== initial.dtype) {
        const message = `checkpoint: an array "${input}" of ${initial.dtype} [${initial.dims.join(",")}], got ${value ? `[${value.dims.join(",")}]` : "none"}; it belongs to another model or method`;
        throw new LimberError("data.invalid", message, { array: input });
      }
      return [input, value] as const;
    });
    await this.write(arrays);
    return metadata;
  }

  memory(): ReturnType<Machine["memory"]> {
    return this.machine.memory();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ownsMachine) return this.machine[Symbol.asyncDispose]();
    const steps = await Promise.allSettled(this.steps.values());
    // A step without a frozen part is loaded once and found under two keys.
    const loaded = new Set(steps.flatMap((step) => (step.status === "fulfilled" ? [step.value.session] : [])));
    for (const session of loaded) await session.dispose();
    await this.forwards.dispose();
    for (const prefix of await Promise.allSettled(this.prefixes.values()))
      if (prefix.status === "fulfilled") await prefix.value?.dispose();
    await this.machine.dropState(this.prefix);
  }
}

const pick = (values: Results, names: Iterable<readonly [string, string]>): Record<string, RunTensor> =>
  Object.fromEntries(Array.from(names, ([key, name]) => [key, values[name]!]));
