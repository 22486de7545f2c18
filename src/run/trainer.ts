import { formatShape, invariant, LimberError, sameShape } from "../base/index.js";
import {
  blockConvolutions,
  buildStep,
  inferShapes,
  type Model,
  type StateSlot,
  type Step,
  type StepOptions,
  type ValueInfo,
  writeModel,
} from "../graph/index.js";
import { findBlockSize } from "./blocks.js";
import { createMachine } from "./machine.js";
import { checkImages } from "./predictor.js";
import { readTensorFile, writeTensorFile } from "./safetensors.js";
import type { Feeds, Machine, RunTensor, Session, SessionOptions } from "./session.js";

export interface TrainerOptions extends StepOptions, SessionOptions {
  /** Where to run; default: a machine of its own, disposed with the trainer. */
  readonly machine?: Machine | undefined;
}

export interface Batch {
  /** Shapes: [N, C, H, W], already preprocessed. */
  readonly images: RunTensor;
  /** Class indices (int64 [N]) or values shaped like the output, as the loss asks. */
  readonly targets?: RunTensor | undefined;
}

export interface StepSettings {
  readonly learningRate?: number | undefined;
  /** How much of this batch's statistics enters the tracked ones. */
  readonly statisticsMomentum?: number | undefined;
}

export interface StepReport {
  /** Output of the model before the update. Shapes: [N, K] for classification. */
  readonly prediction: RunTensor;
  readonly loss: number | undefined;
  readonly gradientNorm: number | undefined;
  /** False when the loss, a gradient or a tracked statistic was not finite: weights, statistics and optimizer are as before. */
  readonly accepted: boolean;
  /** Time of the step inside of the runtime. Units: milliseconds. */
  readonly runMs: number;
}

let trainers = 0;

interface LoadedStep {
  readonly step: Step;
  readonly session: Session;
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
  private slots: readonly StateSlot[] = [];
  /** Sets this trainer's arrays apart from those of others on the same machine. */
  private readonly prefix = `${++trainers}/`;

  private constructor(
    /** The model as it was given; its weights are those of the start. */
    readonly model: Model,
    private readonly options: TrainerOptions,
    private readonly machine: Machine,
  ) {
    const image = model.graph.inputs.find((v) => !model.graph.initializers.has(v.name));
    invariant(image, "a model has an image input");
    this.image = image;
  }

  /** Prepares a trainer; `model` is opset 17 or later with its batch axis free or equal to the batches to come. */
  static create(model: Model, options: TrainerOptions): Trainer {
    return new Trainer(model, options, options.machine ?? createMachine());
  }

  /** One step on one batch. */
  async step({ images, targets }: Batch, settings: StepSettings = {}): Promise<StepReport> {
    checkImages(this.image, images);
    const { step, session } = await this.load(images.dims);
    const { inputs, outputs } = step;
    const feeds: Record<string, RunTensor> = { [inputs.image.name]: images };
    if (inputs.targets) {
      if (!targets) throw new LimberError("config.invalid", `step: targets (${step.targets}) for the loss, got none`);
      checkTargets(step, targets);
      feeds[inputs.targets.name] = targets;
    }
    if (inputs.learningRate) feeds[inputs.learningRate] = scalarFeed(settings.learningRate, "learning rate");
    if (inputs.statisticsMomentum)
      feeds[inputs.statisticsMomentum] = scalarFeed(settings.statisticsMomentum ?? 0, "statistics momentum");
    const measures = [outputs.loss, outputs.gradientNorm].filter((name) => name !== undefined);
    const fetches = [outputs.prediction, ...measures];
    const statistics = step.state.filter(({ role }) => role === "statistic").map(({ output }) => output);
    const finite = [...(measures.length > 0 ? measures : [outputs.prediction]), ...statistics];
    const result = await session.run(feeds, { fetches, finite });
    const numberOf = (name: string | undefined): number | undefined =>
      name === undefined ? undefined : Number(result.outputs[name]!.data[0]);
    return {
      prediction: result.outputs[outputs.prediction]!,
      loss: numberOf(outputs.loss),
      gradientNorm: numberOf(outputs.gradientNorm),
      accepted: result.accepted,
      runMs: result.runMs,
    };
  }

  /** Compiles the step for a batch before it is needed; tells how long that took. Units: milliseconds. */
  async warmUp(imageDims: readonly number[]): Promise<number> {
    const { session } = await this.load(imageDims);
    return session.createMs;
  }

  private load(imageDims: readonly number[]): Promise<LoadedStep> {
    const key = imageDims.join("x");
    let loaded = this.steps.get(key);
    if (!loaded) {
      loaded = this.compile(imageDims);
      this.steps.set(key, loaded);
      loaded.catch(() => this.steps.delete(key));
    }
    return loaded;
  }

  private async compile(imageDims: readonly number[]): Promise<LoadedStep> {
    const step = buildStep(inferShapes(this.model, { inputDims: { [this.image.name]: imageDims } }), this.options);
    if (this.slots.length === 0) {
      this.slots = step.state;
      await this.writeInitial();
    }
    const bindings = step.state.map(({ input, output }) => ({ name: this.prefix + input, input, output }));
    const { threads, optimization } = this.options;
    const session = await this.machine.createSession(
      writeModel(await this.lower(step.model)),
      { threads, optimization },
      bindings,
    );
    return { step, session };
  }

  /** The same step on the kernels that are fastest on this machine. */
  private async lower(model: Model): Promise<Model> {
    const block = await findBlockSize(this.machine);
    return block === undefined ? model : blockConvolutions(model, block);
  }

  private writeInitial(): Promise<void> {
    return this.write(this.slots.map(({ input, initial }) => [input, initial as RunTensor]));
  }

  private write(arrays: readonly (readonly [string, RunTensor])[]): Promise<void> {
    return this.machine.writeState(arrays.map(([input, value]) => ({ name: this.prefix + input, value })));
  }

  private async read(slots: readonly StateSlot[]): Promise<Map<string, RunTensor>> {
    const values = await this.machine.readState(slots.map(({ input }) => this.prefix + input));
    return new Map(slots.map(({ input }) => [input, values.get(this.prefix + input)!]));
  }

  /** Back to the weights, statistics and optimizer of the start, to the byte. */
  async reset(): Promise<void> {
    if (this.slots.length > 0) await this.writeInitial();
  }

  /** The model with its current weights and tracked statistics: same inputs, outputs, names and metadata. */
  async exportModel(): Promise<Model> {
    const owned = this.slots.filter((slot) => slot.initializer !== undefined);
    if (owned.length === 0) return this.model;
    const values = await this.read(owned);
    const initializers = new Map(this.model.graph.initializers);
    for (const slot of owned) initializers.set(slot.initializer!, values.get(slot.input)!);
    return { ...this.model, graph: { ...this.model.graph, initializers } };
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
    await this.load(imageDims);
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
    if (!this.options.machine) return this.machine[Symbol.asyncDispose]();
    for (const { session } of await Promise.all(this.steps.values())) await session.dispose();
  }
}

/** Throws: `shape.mismatch`; `data.invalid`, since the loss takes a class beyond the last one for no class at all. */
function checkTargets({ inputs, model, outputs, targets: kind }: Step, targets: RunTensor): void {
  const { name, dtype, dims } = inputs.targets!;
  if (targets.dtype !== dtype || !sameShape(dims ?? [], targets.dims)) {
    const message = `targets "${name}": ${dtype} ${formatShape(dims ?? [])}, got ${targets.dtype} ${formatShape(targets.dims)}`;
    throw new LimberError("shape.mismatch", message, { input: name, expected: dims, got: targets.dims });
  }
  const classes = Number(model.graph.outputs.find((output) => output.name === outputs.prediction)?.dims?.[1]);
  const labels = kind === "labels" ? Array.from(targets.data, Number) : [];
  const wrong = labels.find((label) => label < 0 || label >= classes);
  if (wrong === undefined) return;
  const message = `targets "${name}": classes 0 to ${classes - 1} of the model, got ${wrong}; check the labels`;
  throw new LimberError("data.invalid", message, { label: wrong, classes });
}

function scalarFeed(value: number | undefined, name: string): Feeds[string] {
  if (value === undefined || !Number.isFinite(value)) {
    throw new LimberError("config.invalid", `step: a finite ${name}, got ${value}`);
  }
  return { dtype: "float32", dims: [], data: Float32Array.of(value) };
}
