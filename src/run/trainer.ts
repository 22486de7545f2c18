import { invariant, LimberError } from "../base/index.js";
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
  readonly machine?: Machine;
}

export interface Batch {
  /** Shapes: [N, C, H, W], already preprocessed. */
  readonly images: RunTensor;
  /** Class indices (int64 [N]) or values shaped like the output, as the loss asks. */
  readonly targets?: RunTensor;
}

export interface StepSettings {
  readonly learningRate?: number;
  /** How much of this batch's statistics enters the tracked ones. */
  readonly statisticsMomentum?: number;
}

export interface StepReport {
  /** Output of the model before the update. Shapes: [N, K] for classification. */
  readonly prediction: RunTensor;
  readonly loss: number | undefined;
  readonly gradientNorm: number | undefined;
  /** False when the loss or a gradient was not finite: weights, statistics and optimizer are as before. */
  readonly accepted: boolean;
  /** Time of the step inside of the runtime. Units: milliseconds. */
  readonly runMs: number;
}

interface LoadedStep {
  readonly step: Step;
  readonly session: Session;
}

/**
 * Runs training steps of one model and owns its weights while they change.
 *
 * Steps are compiled per batch size when first needed and share the weights.
 * Throws: what `buildStep` throws; `run.failed`; `shape.mismatch` for a batch that does not fit the model.
 */
export class Trainer implements AsyncDisposable {
  private readonly steps = new Map<number, Promise<LoadedStep>>();
  private readonly image: ValueInfo;
  private slots: readonly StateSlot[] = [];

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
      feeds[inputs.targets.name] = targets;
    }
    if (inputs.learningRate) feeds[inputs.learningRate] = scalarFeed(settings.learningRate, "learning rate");
    if (inputs.statisticsMomentum)
      feeds[inputs.statisticsMomentum] = scalarFeed(settings.statisticsMomentum ?? 0, "statistics momentum");
    const measures = [outputs.loss, outputs.gradientNorm].filter((name) => name !== undefined);
    const fetches = [outputs.prediction, ...measures];
    const result = await session.run(feeds, { fetches, finite: measures.length > 0 ? measures : [outputs.prediction] });
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
    const batch = imageDims[0]!;
    let loaded = this.steps.get(batch);
    if (!loaded) {
      loaded = this.compile(imageDims);
      this.steps.set(batch, loaded);
      loaded.catch(() => this.steps.delete(batch));
    }
    return loaded;
  }

  private async compile(imageDims: readonly number[]): Promise<LoadedStep> {
    const step = buildStep(inferShapes(this.model, { inputDims: { [this.image.name]: imageDims } }), this.options);
    if (this.slots.length === 0) {
      this.slots = step.state;
      await this.writeInitial();
    }
    const bindings = step.state.map(({ input, output }) => ({ name: input, input, output }));
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
    return this.machine.writeState(
      this.slots.map(({ input, initial }) => ({ name: input, value: initial as RunTensor })),
    );
  }

  /** Back to the weights, statistics and optimizer of the start, to the byte. */
  async reset(): Promise<void> {
    if (this.slots.length > 0) await this.writeInitial();
  }

  /** The model with its current weights and tracked statistics: same inputs, outputs, names and metadata. */
  async exportModel(): Promise<Model> {
    const owned = this.slots.filter((slot) => slot.initializer !== undefined);
    const values = await this.machine.readState(owned.map((slot) => slot.input));
    const initializers = new Map(this.model.graph.initializers);
    for (const slot of owned) initializers.set(slot.initializer!, values.get(slot.input)!);
    return { ...this.model, graph: { ...this.model.graph, initializers } };
  }

  /** Everything that is needed to go on to the same bytes, as a safetensors file. */
  async checkpoint(metadata: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
    const tensors = await this.machine.readState(this.slots.map((slot) => slot.input));
    return writeTensorFile({ tensors, metadata });
  }

  /**
   * Goes back to a checkpoint of the same model and options; gives the metadata stored with it.
   * Throws: `data.invalid` when arrays are missing or have another shape. The trainer is then unchanged.
   */
  async restore(bytes: Uint8Array, imageDims: readonly number[]): Promise<Readonly<Record<string, string>>> {
    const { tensors, metadata } = readTensorFile(bytes);
    await this.load(imageDims);
    const arrays = this.slots.map(({ input, initial }) => {
      const value = tensors.get(input);
      if (!value || value.dims.join() !== initial.dims.join() || value.dtype !== initial.dtype) {
        const message = `checkpoint: an array "${input}" of ${initial.dtype} [${initial.dims.join(",")}], got ${value ? `[${value.dims.join(",")}]` : "none"}; it belongs to another model or method`;
        throw new LimberError("data.invalid", message, { array: input });
      }
      return { name: input, value };
    });
    await this.machine.writeState(arrays);
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

function scalarFeed(value: number | undefined, name: string): Feeds[string] {
  if (value === undefined || !Number.isFinite(value)) {
    throw new LimberError("config.invalid", `step: a finite ${name}, got ${value}`);
  }
  return { dtype: "float32", dims: [], data: Float32Array.of(value) };
}
