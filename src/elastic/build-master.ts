import { z } from "zod";
import { Refusals } from "../adapt/index.js";
import { LimberError, type LongCall, Random, type Tensor, throwIfAborted } from "../base/index.js";
import {
  adam,
  addGates,
  fixSparsity,
  type GateOptions,
  gatesOf,
  type Model,
  type Optimizer,
  parametersOf,
  prepareModel,
  sgd,
} from "../graph/index.js";
import {
  createMachine,
  type Feeds,
  type MachineOptions,
  readTensorFile,
  type SessionOptions,
  type QuietReport,
  Trainer,
  writeTensorFile,
} from "../run/node.js";
import {
  augmentBatch,
  type AugmentOptions,
  type Batch,
  channelsOf,
  classification,
  type Domain,
  type Lessons,
  lessonsOf,
  type Preprocessing,
  type Skipped,
  type TaskHead,
} from "../vision/index.js";
import { affine, filterAxes } from "./affine.js";
import { BatchStream, type StreamPosition, streamPosition } from "./batch-stream.js";
import { calibrateLevels, type CurvePoint, type LevelOptions, measureCurve } from "./calibrate.js";
import { BRANCHES, branchInputs, sandwich } from "./sandwich.js";

/** A part of the training, with the largest sparsity that it draws. */
export interface Stage {
  readonly maximumSparsity: number;
  readonly steps: number;
  /** At the start; falls to zero along a half cosine. */
  readonly learningRate: number;
}

export interface MasterOptions extends LongCall, SessionOptions, MachineOptions {
  readonly preprocessing: Preprocessing;
  /** What the model is for; default: to tell classes of whole images. Its pictures are not augmented, since boxes and masks would stay. */
  readonly head?: TaskHead<unknown> | undefined;
  /** Labelled images to choose the best master by, and to measure its curve on. */
  readonly validation: Domain;
  /** Default: one, up to 0.8. The authors' is 0.2, 0.5, 0.8, each from where the last one ended. */
  readonly stages?: readonly Stage[] | undefined;
  /** The smallest sparsity that is drawn, beside 0. Default 0. */
  readonly minimumSparsity?: number | undefined;
  /** Steps before the first stage in which gates alone train, at the first stage's largest sparsity. Default 0. */
  readonly warmUpSteps?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly gates?: GateOptions | undefined;
  /** λ of Σ|g|. Default 1e-8. */
  readonly penalty?: number | undefined;
  /** λ of the pull of weights towards an affine image of what they were, see `affine`. Default 0; the authors' is 5e-4. */
  readonly affinePenalty?: number | undefined;
  readonly optimizer?: "sgd" | "adam" | undefined;
  /** Of all weights but those of the gates. Default 5e-4 for sgd, 0 for adam. */
  readonly weightDecay?: number | undefined;
  readonly augment?: AugmentOptions | undefined;
  /** Sparsities to store statistics for, and to measure at. Default 0, 0.2, 0.4, 0.6, 0.8. */
  readonly levels?: readonly number[] | undefined;
  /** Batches for the statistics of each. Default 20. */
  readonly calibrationBatches?: number | undefined;
  /** Steps between two measurements. Default: an eighth of all. */
  readonly measureEvery?: number | undefined;
  readonly seed?: number | undefined;
  /** Called once for each sample that could not be read. */
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
  readonly onMeasure?: ((measured: Measured) => void) | undefined;
  /** Given a checkpoint at each measurement, and when stopped, before `aborted` is thrown. */
  readonly onCheckpoint?: ((bytes: Uint8Array, step: number) => Promise<void>) | undefined;
  /** Bytes from `onCheckpoint`: goes on as if never stopped. */
  readonly resume?: Uint8Array | undefined;
}

/** The curve at one time of the training. */
export interface Measured {
  readonly step: number;
  readonly curve: readonly CurvePoint[];
  /** Mean score over the levels: what the best master is chosen by. */
  readonly mean: number;
}

export interface BuiltMaster {
  /** The best one, with gates and statistics for each level. */
  readonly master: Model;
  readonly best: Measured;
  readonly measured: readonly Measured[];
  /** Steps whose loss or gradient was not finite. */
  readonly refused: number;
}

const DEFAULT_STAGES: readonly Stage[] = [{ maximumSparsity: 0.8, steps: 2000, learningRate: 1e-2 }];
const DEFAULT_LEVELS = [0, 0.2, 0.4, 0.6, 0.8];

/**
 * Makes a master of a model: puts gates on it, and trains both on labelled images of the source at sparsities between 0 and the
 * largest, so that small models can be cut from it. Of what it measures on the way, the master with the best mean score over all levels is kept.
 * Of several domains each batch shows one, so that gates learn to tell them apart.
 *
 * Source: ElasticDNN's offline pre-training, see `sandwich`.
 * Throws: `aborted`, `config.invalid`, `method.unsuitable` for a model without a place for a gate, `run.failed`, `train.non-finite` where it got stuck.
 */
export async function buildMaster(
  source: Model,
  data: Domain | readonly Domain[],
  options: MasterOptions,
): Promise<BuiltMaster> {
  const { batchSize = 64, seed = 0, gates = { initial: "ranked", seed } } = options;
  const lessons = lessonsOf(data);
  const { samples } = lessons.domain;
  if (samples < batchSize) {
    const message = `master: ${batchSize} samples (one batch) or more, got ${samples}; use a smaller batch`;
    throw new LimberError("config.invalid", message, { samples, batchSize });
  }
  const { flip = false, shift = 0 } = options.augment ?? {};
  if (options.head && (flip || shift > 0)) {
    const message = `master: pictures as they are where boxes or masks belong to them, got ${flip ? "flip" : `shift ${shift}`}; leave it out`;
    throw new LimberError("config.invalid", message, { flip, shift });
  }
  const gated = addGates(prepareModel(source), gates);
  const head = options.head ?? classification.open(fixSparsity(gated, 0), options.preprocessing);
  await using machine = createMachine(options);
  const run = new MasterRun(gated, lessons, head, { ...options, batchSize, machine });
  return await run.finish();
}

interface RunOptions extends MasterOptions {
  readonly batchSize: number;
  readonly machine: LevelOptions["machine"];
}

const stored = z.object({
  step: z.int().min(0),
  stream: streamPosition,
  refused: z.int().min(0),
  best: z
    .object({
      step: z.int(),
      mean: z.number(),
      curve: z.array(z.object({ sparsity: z.number(), accuracy: z.number() })),
    })
    .nullable(),
});
const BEST = "best/";

class MasterRun {
  private readonly stages: readonly Stage[];
  private readonly total: number;
  private readonly random: Random;
  private readonly measured: Measured[] = [];
  private best: { readonly measured: Measured; readonly weights: ReadonlyMap<string, Tensor> } | undefined;
  private refused = 0;
  private readonly refusals = new Refusals("master");
  private step = 0;

  constructor(
    private gated: Model,
    private readonly lessons: Lessons,
    private readonly head: TaskHead<unknown>,
    private readonly options: RunOptions,
  ) {
    this.stages = options.stages ?? DEFAULT_STAGES;
    this.total = (options.warmUpSteps ?? 0) + this.stages.reduce((sum, { steps }) => sum + steps, 0);
    this.random = new Random(options.seed ?? 0);
    const wrong = this.stages.find(({ maximumSparsity: s, steps }) => !(s >= 0 && s < 1) || !(steps >= 1));
    if (!wrong && this.stages.length > 0) return;
    throw new LimberError("config.invalid", "master: stages of 1 step or more, up to a sparsity below 1, got others");
  }

  async finish(): Promise<BuiltMaster> {
    const stream = new BatchStream(
      this.lessons,
      { ...this.options, truth: this.options.head !== undefined },
      this.random.fork("data"),
    );
    if (!this.options.resume) await this.warmUp(stream);
    await using trainer = this.createTrainer("all");
    if (this.options.resume) stream.seek(await this.resume(trainer, this.options.resume));
    const every = this.options.measureEvery ?? Math.max(1, Math.ceil(this.total / 8));
    while (this.step < this.total) {
      if (this.options.signal?.aborted) await this.stop(trainer, stream);
      const report = await this.trainOnce(trainer, stream);
      if (!report.accepted) this.refused++;
      this.refusals.observe(report);
      this.step++;
      const note = `loss ${report.loss!.toFixed(3)}${this.best ? `, best mean score ${(100 * this.best.measured.mean).toFixed(1)} %` : ""}`;
      this.options.onProgress?.({ stage: "master", done: this.step, total: this.total, note });
      if (this.step % every !== 0 && this.step < this.total) continue;
      await this.measure(trainer);
      await this.options.onCheckpoint?.(await this.checkpoint(trainer, stream), this.step);
    }
    if (!this.best) await this.measure(trainer);
    const { measured, weights } = this.best!;
    return { master: await this.calibrate(weights), best: measured, measured: this.measured, refused: this.refused };
  }

  /** Gates alone; what follows starts from them. */
  private async warmUp(stream: BatchStream): Promise<void> {
    const { warmUpSteps = 0, signal } = this.options;
    if (warmUpSteps === 0) return;
    await using trainer = this.createTrainer("gates");
    for (; this.step < warmUpSteps; this.step++) {
      throwIfAborted(signal);
      await this.trainOnce(trainer, stream);
    }
    this.gated = withWeights(this.gated, (await trainer.exportModel()).graph.initializers);
  }

  private createTrainer(trained: "all" | "gates"): Trainer {
    const { machine, threads, optimization, optimizer = "sgd", penalty = 1e-8, affinePenalty = 0 } = this.options;
    const gating = gatesOf(this.gated);
    const ofGates = new Set(gating.gates.flatMap(({ parameters }) => parameters));
    const parameters = parametersOf(this.gated).flatMap(({ name }) =>
      trained === "all" || ofGates.has(name) ? [name] : [],
    );
    const { weightDecay = optimizer === "sgd" ? 5e-4 : 0 } = this.options;
    const make = (decay: number): Optimizer =>
      optimizer === "adam" ? adam({ weightDecay: decay }) : sgd({ momentum: 0.9, weightDecay: decay });
    const [plain, decayed] = [make(0), make(weightDecay)];
    const pull = { weight: affinePenalty, axes: filterAxes(this.gated, ofGates) };
    const loss = sandwich({ gating, penalty, loss: this.head.loss });
    return Trainer.create(fixSparsity(this.gated, 0), {
      ...{ machine, threads, optimization },
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: {
        parameters,
        loss: affinePenalty === 0 ? loss : affine(loss, pull),
        // Weight decay is for the model: a gate decayed is a gate closed.
        optimizer: {
          ...plain,
          update: (context) => (ofGates.has(context.parameter.name) ? plain : decayed).update(context),
        },
      },
    });
  }

  private async trainOnce(trainer: Trainer, stream: BatchStream): Promise<QuietReport> {
    const { stage, rate } = this.scheduled();
    const random = this.random.fork(`step ${this.step}`);
    const least = Math.min(this.options.minimumSparsity ?? 0, stage.maximumSparsity);
    const own = await stream.next();
    const draws: Record<(typeof BRANCHES)[number], number> = {
      middle: random.uniform(least, stage.maximumSparsity),
      other: random.uniform(least, stage.maximumSparsity),
      sparsest: stage.maximumSparsity,
      fixed: random.uniform(least, stage.maximumSparsity),
    };
    const inputs: Record<string, Feeds[string]> = {};
    for (const branch of BRANCHES) {
      const { images, targets } = this.prepare(await stream.next(), random);
      const names = branchInputs(branch);
      inputs[names.images] = images;
      inputs[names.labels] = targets;
      inputs[names.sparsity] = { dtype: "float32", dims: [1], data: Float32Array.of(draws[branch]) };
    }
    const { images, targets } = this.prepare(own, random);
    return trainer.step({ images, targets, inputs }, { learningRate: rate, statisticsMomentum: 0.1, answers: false });
  }

  private prepare(batch: Batch, random: Random): { images: Batch["images"]; targets: Feeds[string] } {
    const images = augmentBatch(batch.images, this.options.augment ?? {}, random);
    return { images, targets: this.head.encode(batch) };
  }

  private scheduled(): { stage: Stage; rate: number } {
    let into = this.step - (this.options.warmUpSteps ?? 0);
    if (into < 0) return { stage: this.stages[0]!, rate: this.stages[0]!.learningRate };
    const stage = this.stages.find(({ steps }) => (into -= steps) < 0) ?? this.stages.at(-1)!;
    const done = 1 + into / stage.steps;
    return { stage, rate: stage.learningRate * 0.5 * (1 + Math.cos(Math.PI * done)) };
  }

  private levelOptions(): LevelOptions {
    const { machine, threads, optimization, preprocessing, batchSize, levels = DEFAULT_LEVELS, signal } = this.options;
    return { machine, threads, optimization, preprocessing, batchSize, levels, signal };
  }

  private calibrate(weights: ReadonlyMap<string, Tensor>): Promise<Model> {
    const model = withWeights(this.gated, weights);
    return calibrateLevels(model, this.lessons.domain, this.options.calibrationBatches ?? 20, this.levelOptions());
  }

  private async measure(trainer: Trainer): Promise<void> {
    const weights = (await trainer.exportModel()).graph.initializers;
    const measuring = { ...this.levelOptions(), head: this.head };
    const curve = await measureCurve(await this.calibrate(weights), this.options.validation, measuring);
    const mean = curve.reduce((sum, { accuracy }) => sum + accuracy, 0) / curve.length;
    const measured = { step: this.step, curve, mean };
    this.measured.push(measured);
    this.options.onMeasure?.(measured);
    if (!this.best || mean > this.best.measured.mean) this.best = { measured, weights };
  }

  /** The trainer's state, where the run stands, and the best weights so far. */
  private async checkpoint(trainer: Trainer, stream: BatchStream): Promise<Uint8Array> {
    const position: z.output<typeof stored> = {
      ...{ step: this.step, stream: stream.position, refused: this.refused },
      best: this.best ? { ...this.best.measured, curve: [...this.best.measured.curve] } : null,
    };
    const { tensors, metadata } = readTensorFile(await trainer.checkpoint({ limberMaster: JSON.stringify(position) }));
    const best = [...(this.best?.weights ?? [])].map(([name, value]) => [BEST + name, value as Feeds[string]] as const);
    return writeTensorFile({ tensors: new Map([...tensors, ...best]), metadata });
  }

  private async resume(trainer: Trainer, bytes: Uint8Array): Promise<StreamPosition> {
    const { tensors, metadata } = readTensorFile(bytes);
    const found = stored.safeParse(JSON.parse(metadata.limberMaster ?? "null"));
    if (!found.success)
      throw new LimberError("data.invalid", "checkpoint: where the training of a master stood, got none");
    const own = new Map([...tensors].filter(([name]) => !name.startsWith(BEST)));
    const { width, height } = this.options.preprocessing;
    const imageDims = [this.options.batchSize, channelsOf(this.options.preprocessing), height, width];
    await trainer.restore(writeTensorFile({ tensors: own, metadata }), imageDims);
    const { step, stream, refused, best } = found.data;
    [this.step, this.refused] = [step, refused];
    const weights = [...tensors].flatMap(([name, value]) =>
      name.startsWith(BEST) ? [[name.slice(BEST.length), value] as const] : [],
    );
    if (best) this.best = { measured: best, weights: new Map(weights) };
    return stream;
  }

  private async stop(trainer: Trainer, stream: BatchStream): Promise<never> {
    const isBegun = this.step > (this.options.warmUpSteps ?? 0);
    if (isBegun) await this.options.onCheckpoint?.(await this.checkpoint(trainer, stream), this.step);
    const message = `master: stopped after step ${this.step} of ${this.total}${isBegun ? "; resume from the checkpoint" : ""}`;
    throw new LimberError("aborted", message, { step: this.step });
  }
}

/** The model with the weights that the map has. */
function withWeights(model: Model, weights: ReadonlyMap<string, Tensor>): Model {
  const { graph } = model;
  const initializers = new Map([...graph.initializers].map(([name, value]) => [name, weights.get(name) ?? value]));
  return { ...model, graph: { ...graph, initializers } };
}
