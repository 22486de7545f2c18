import { z } from "zod";
import { LimberError, type LongCall, Random } from "../base/index.js";
import {
  adam,
  adamW,
  crossEntropy,
  type Model,
  type Optimizer,
  parametersOf,
  prepareModel,
  sgd,
  type TrainOptions,
} from "../graph/index.js";
import {
  createMachine,
  type MachineOptions,
  Predictor,
  type SessionOptions,
  Trainer,
  type TrainerOptions,
  type TuneSettings,
  tuneStep,
} from "../run/node.js";
import {
  augmentBatch,
  type AugmentOptions,
  batches,
  type Batch,
  channelsOf,
  type Domain,
  type Lessons,
  lessonsOf,
  classification,
  type Preprocessing,
  type Score,
  type Skipped,
  type TaskHead,
} from "../vision/index.js";
import { evaluateTask } from "./evaluate-task.js";
import { Refusals } from "./refusals.js";

export interface TrainingOptions extends LongCall, SessionOptions, MachineOptions {
  readonly preprocessing: Preprocessing;
  /** What the model is for; default: to tell classes of whole images. Its pictures are not augmented, since boxes and masks would stay. */
  readonly head?: TaskHead<unknown> | undefined;
  /** Measured after each epoch when given. */
  readonly validation?: Domain | undefined;
  readonly epochs: number;
  /** Default 64. A last batch that is not full is left out of its epoch. */
  readonly batchSize?: number | undefined;
  /** At the start; falls to zero along a half cosine. Default: 0.05 for sgd, 1e-3 for the others. */
  readonly learningRate?: number | undefined;
  readonly optimizer?: "sgd" | "adam" | "adamw" | undefined;
  readonly weightDecay?: number | undefined;
  readonly smoothing?: number | undefined;
  /** Initializers to train; default: all parameters. */
  readonly parameters?: readonly string[] | undefined;
  /** Output channels that train, by parameter; default: all. */
  readonly rows?: TrainOptions["rows"];
  readonly augment?: AugmentOptions | undefined;
  readonly seed?: number | undefined;
  /** Given the bytes of a checkpoint after each epoch and when stopped, before `aborted` is thrown. */
  readonly onCheckpoint?: ((bytes: Uint8Array, epoch: number) => Promise<void>) | undefined;
  /** Bytes from `onCheckpoint`: goes on as if never stopped, to the same weights. */
  readonly resume?: Uint8Array | undefined;
  readonly onEpoch?: ((report: EpochReport) => void) | undefined;
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
  /** Whether to measure how convolutions are best computed on this machine; default: off. */
  readonly tune?: TuneSettings | undefined;
}

export interface EpochReport {
  readonly epoch: number;
  /** Mean over the accepted steps of this run; NaN when there was none. */
  readonly loss: number;
  /** Of predictions before each update. */
  readonly training: Score;
  readonly validation: Score | undefined;
  readonly refused: number;
  /** Samples that could not be read. */
  readonly skipped: number;
  /** Samples for which what frozen layers make of them was known from an earlier epoch. */
  readonly cacheHits: number;
  readonly seconds: number;
}

export interface TrainingResult {
  readonly model: Model;
  readonly epochs: readonly EpochReport[];
}

/** Where a run stands; all else follows from the seed. */
interface Position {
  readonly epoch: number;
  /** Samples of this epoch that are behind, unreadable ones included. */
  readonly consumed: number;
  readonly step: number;
}

const count = z.int().min(0);
const storedPosition = z.object({ epoch: count, consumed: count, step: count, seed: z.int(), batchSize: count });
type StoredPosition = z.output<typeof storedPosition>;

/** Throws: `data.invalid` when a checkpoint does not say where its run stood. */
function readPosition(text = "null"): StoredPosition {
  try {
    return storedPosition.parse(JSON.parse(text));
  } catch (cause) {
    const message = "checkpoint: the position of a training run, got none; it was not written by one";
    throw new LimberError("data.invalid", message, {}, { cause });
  }
}

/**
 * Trains a model on labelled images with batch statistics and a cosine schedule.
 *
 * Of several domains each batch shows one.
 *
 * Layers in front of the first one that trains keep their statistics; without augmentation they compute each image once.
 *
 * A step whose loss or gradient is not finite is refused and counted. Stopping writes a checkpoint first.
 * Throws: `aborted`, `config.invalid`, `gradient.missing`, `shape.mismatch`, `run.failed`, `train.non-finite` after 25 refused steps in a row.
 */
export async function train(
  source: Model,
  data: Domain | readonly Domain[],
  options: TrainingOptions,
): Promise<TrainingResult> {
  const { batchSize = 64, epochs } = options;
  const lessons = lessonsOf(data);
  const { samples } = lessons.domain;
  if (samples < batchSize) {
    const message = `training: ${batchSize} samples (one batch) or more, got ${samples}; use a smaller batch`;
    throw new LimberError("config.invalid", message, { samples, batchSize });
  }
  const { flip = false, shift = 0 } = options.augment ?? {};
  if (options.head && (flip || shift > 0)) {
    const message = `training: pictures as they are where boxes or masks belong to them, got ${flip ? "flip" : `shift ${shift}`}; leave it out`;
    throw new LimberError("config.invalid", message, { flip, shift });
  }
  const model = prepareModel(source);
  const head = options.head ?? classification.open(model, options.preprocessing);
  await using machine = createMachine(options);
  const plan: TrainerOptions = {
    threads: options.threads,
    machine,
    statistics: { sourceWeight: 0, variance: "unbiased", layers: "trained" },
    train: {
      loss: options.head ? head.loss : crossEntropy({ smoothing: options.smoothing ?? 0 }),
      optimizer: optimizerOf(options),
      parameters: options.parameters ?? parametersOf(model).map(({ name }) => name),
      rows: options.rows,
    },
  };
  const { height, width } = options.preprocessing;
  const imageDims = [batchSize, channelsOf(options.preprocessing), height, width];
  const { signal, onProgress } = options;
  const { choose } = await tuneStep(model, options.tune ?? {}, { ...plan, machine, imageDims, signal, onProgress });
  const trainer = Trainer.create(model, { ...plan, choose });
  const run = new TrainingRun(trainer, head, lessons, options, batchSize);
  let position = options.resume ? await run.resume(options.resume) : { epoch: 0, consumed: 0, step: 0 };
  const reports: EpochReport[] = [];
  while (position.epoch < epochs) {
    const { report, next } = await run.epoch(position);
    await options.onCheckpoint?.(await run.checkpoint(next), next.epoch);
    let validation: Score | undefined;
    if (options.validation) {
      const predictor = await Predictor.create(machine, await trainer.exportModel(), { threads: options.threads });
      const measuring = { ...options, batchSize, onProgress: undefined };
      validation = await evaluateTask(predictor, head, options.validation, measuring);
      await predictor.dispose();
    }
    reports.push({ ...report, validation });
    options.onEpoch?.(reports.at(-1)!);
    position = next;
  }
  return { model: await trainer.exportModel(), epochs: reports };
}

function optimizerOf({ optimizer = "sgd", weightDecay }: TrainingOptions): Optimizer {
  if (optimizer === "adam") return adam({ weightDecay: weightDecay ?? 0 });
  if (optimizer === "adamw") return adamW({ weightDecay: weightDecay ?? 0.01 });
  return sgd({ momentum: 0.9, nesterov: true, weightDecay: weightDecay ?? 5e-4 });
}

class TrainingRun {
  private readonly random: Random;
  private readonly refusals = new Refusals("training");
  private readonly totalSteps: number;

  constructor(
    private readonly trainer: Trainer,
    private readonly head: TaskHead<unknown>,
    private readonly lessons: Lessons,
    private readonly options: TrainingOptions,
    private readonly batchSize: number,
  ) {
    this.random = new Random(options.seed ?? 0);
    this.totalSteps = options.epochs * Math.floor(lessons.order(new Random(0), batchSize).length / batchSize);
  }

  async epoch(start: Position): Promise<{ report: EpochReport; next: Position }> {
    const { epoch } = start;
    const order = this.lessons.order(this.random.fork(`epoch ${epoch}`), this.batchSize);
    const began = performance.now();
    const hitsBefore = this.trainer.cache.hits;
    let { consumed, step } = start;
    let [losses, steps, refused, skips] = [0, 0, 0, 0];
    const meter = this.head.createMeter();
    const reading = { ...this.options, batchSize: this.batchSize, indices: order.slice(consumed), signal: undefined };
    for await (const batch of batches(this.lessons.domain, { ...reading, truth: true })) {
      if (this.options.signal?.aborted) await this.stop({ epoch, consumed, step });
      consumed += batch.labels.length + batch.skipped.length;
      for (const skipped of batch.skipped) this.options.onSkipped?.(skipped);
      skips += batch.skipped.length;
      if (batch.labels.length < this.batchSize) continue;
      const report = await this.step(batch, step++);
      steps++;
      if (report.accepted) losses += report.loss!;
      else refused++;
      this.refusals.observe(report);
      meter.add(report.prediction, batch);
      const note = `epoch ${epoch + 1}, loss ${report.loss!.toFixed(3)}`;
      this.options.onProgress?.({ stage: "train", done: step, total: this.totalSteps, note });
    }
    const loss = losses / (steps - refused);
    const seconds = (performance.now() - began) / 1000;
    const cacheHits = this.trainer.cache.hits - hitsBefore;
    const report = { epoch: epoch + 1, loss, training: meter.read(), validation: undefined, refused };
    return { report: { ...report, skipped: skips, cacheHits, seconds }, next: { epoch: epoch + 1, consumed: 0, step } };
  }

  private step(batch: Batch, step: number): ReturnType<Trainer["step"]> {
    const { augment = {}, learningRate, optimizer = "sgd" } = this.options;
    const peak = learningRate ?? (optimizer === "sgd" ? 0.05 : 1e-3);
    const images = augmentBatch(batch.images, augment, this.random.fork(`augment ${step}`));
    const samples = images === batch.images ? Array.from(batch.indices) : undefined;
    return this.trainer.step(
      { images, targets: this.head.encode(batch), samples },
      { learningRate: peak * 0.5 * (1 + Math.cos((Math.PI * step) / this.totalSteps)), statisticsMomentum: 0.1 },
    );
  }

  private async stop(position: Position): Promise<never> {
    await this.options.onCheckpoint?.(await this.checkpoint(position), position.epoch);
    const message = `training: stopped in epoch ${position.epoch + 1} of ${this.options.epochs}; resume from the checkpoint`;
    throw new LimberError("aborted", message, { ...position });
  }

  checkpoint(position: Position): Promise<Uint8Array> {
    const stored: StoredPosition = { ...position, seed: this.options.seed ?? 0, batchSize: this.batchSize };
    return this.trainer.checkpoint({ limberTraining: JSON.stringify(stored) });
  }

  async resume(bytes: Uint8Array): Promise<Position> {
    const { preprocessing, seed = 0 } = this.options;
    const { width, height } = preprocessing;
    const metadata = await this.trainer.restore(bytes, [this.batchSize, channelsOf(preprocessing), height, width]);
    const { seed: own, batchSize, ...position } = readPosition(metadata.limberTraining);
    if (own === seed && batchSize === this.batchSize) return position;
    const message = `resume: seed ${own} and batch size ${batchSize}, as the checkpoint was made with, got ${seed} and ${this.batchSize}`;
    throw new LimberError("config.invalid", message, { seed: own, batchSize });
  }
}
