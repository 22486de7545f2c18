import { LimberError, type LongCall, Random, throwIfAborted } from "../base/index.js";
import { adam, type Model, type Optimizer, type Statistics } from "../graph/index.js";
import {
  type Machine,
  readTensorFile,
  type RunTensor,
  type SessionOptions,
  Trainer,
  writeTensorFile,
} from "../run/node.js";
import { type Batch, batches, type Domain, type Preprocessing, type Score, type TaskHead } from "../vision/index.js";
import { findStop, STOP_RULE, type StopRule } from "./budget.js";

export interface FineTuneOptions extends LongCall, SessionOptions {
  readonly machine: Machine;
  readonly head: TaskHead<unknown>;
  readonly preprocessing: Preprocessing;
  /** Initializers that train; none: the model is only measured. */
  readonly parameters: readonly string[];
  /** Factors on the learning rate, by initializer. */
  readonly scale?: ReadonlyMap<string, number> | undefined;
  readonly optimizer?: Optimizer | undefined;
  readonly learningRate: number;
  readonly statistics?: Statistics | undefined;
  readonly batchSize: number;
  readonly epochs: number;
  /** Samples that train. */
  readonly indices: readonly number[];
  /** Samples that tell how good the model is. */
  readonly held: readonly number[];
  /** Epochs after which they are asked; the last one is always measured. Default 1. */
  readonly measureEvery?: number | undefined;
  readonly stop?: StopRule | undefined;
  /** What the loss compares with; default: the truth of the domain. */
  readonly targetsOf?: ((batch: Batch) => Promise<RunTensor> | RunTensor) | undefined;
  readonly cacheBytes?: number | undefined;
  readonly seed?: number | undefined;
  /** Which model is kept: the one that scored best on the held samples, or, where these tell nothing, the last. Default `best`. */
  readonly keeps?: "best" | "last" | undefined;
  /** Those of the parameters that train in an epoch; default: all. What stays keeps what its optimizer knows. */
  readonly trains?: ((epoch: number) => readonly string[]) | undefined;
}

/** Epochs in a row in which the same parameters trained. */
export interface Stretch {
  readonly parameters: readonly string[];
  /** Images that went through a step, and of these the ones whose frozen part was known. */
  readonly trained: number;
  readonly cached: number;
}

export type StopReason = "epochs" | "plateau" | "target";

/** How a course went. The best model is kept, not the last. */
export interface Course {
  readonly model: Model;
  /** On the held samples: before the first epoch, and after those that were measured. */
  readonly scores: readonly Score[];
  readonly best: number;
  readonly losses: readonly number[];
  readonly reason: StopReason;
  readonly steps: number;
  readonly refused: number;
  /** Images that went through a step, all stretches together. */
  readonly trained: number;
  readonly stretches: readonly Stretch[];
  /** Images that only went forward, to be measured. */
  readonly measured: number;
  readonly trainMs: number;
  readonly measureMs: number;
}

/**
 * Trains some parameters of a model on labelled samples of a domain, epoch by epoch, until it stops getting better.
 *
 * Every sample is seen once per epoch; the last batch is filled up from the start of the order. A step that is not finite is refused.
 * Throws: `aborted`, `config.invalid`, `data.invalid`, `run.failed`.
 */
export async function fineTune(source: Model, domain: Domain, options: FineTuneOptions): Promise<Course> {
  const { head, indices, held, batchSize, stop = STOP_RULE, measureEvery = 1, signal, onProgress } = options;
  if (indices.length === 0 || held.length === 0) {
    const message = `domain "${domain.name}": samples to train on and samples to measure on, got ${indices.length} and ${held.length}; label more`;
    throw new LimberError("config.invalid", message, { domain: domain.name });
  }
  const trainsAt = (epoch: number): readonly string[] => options.trains?.(epoch) ?? options.parameters;
  const stretches: Stretch[] = [];
  let parameters = trainsAt(0);
  await using current = new Current(createTrainer(source, parameters, options));
  const random = new Random(options.seed ?? 0).fork(`fine-tune ${domain.name}`);
  const reading = { preprocessing: options.preprocessing, batchSize, truth: true, signal };
  const targetsOf = options.targetsOf ?? ((batch: Batch) => head.encode(batch));
  const counts = { steps: 0, refused: 0, trained: 0, measured: 0, trainMs: 0, measureMs: 0 };

  const stepsPerEpoch = Math.ceil(indices.length / batchSize);
  const measure = async (): Promise<Score> => {
    const began = performance.now();
    const meter = head.createMeter();
    for await (const batch of batches(domain, { ...reading, indices: held })) {
      if (batch.labels.length === 0) continue;
      const { prediction } = await current.trainer.predict(batch.images, { statistics: "stored" });
      meter.add(prediction, batch);
      counts.measured += batch.labels.length;
    }
    counts.measureMs += performance.now() - began;
    return meter.read();
  };

  let imageDims: readonly number[] | undefined;
  let ended = 0;
  const endStretch = (): void => {
    const { hits } = current.trainer.cache;
    stretches.push({ parameters, trained: counts.trained - ended, cached: hits });
    ended = counts.trained;
  };
  const turnTo = async (wanted: readonly string[]): Promise<void> => {
    if (wanted.join() === parameters.join()) return;
    endStretch();
    parameters = wanted;
    const next = createTrainer(await current.trainer.exportModel(), wanted, options);
    if (imageDims) await handOver(current.trainer, next, imageDims);
    await current.replace(next);
  };

  const trainOnce = async (epoch: number): Promise<number> => {
    const began = performance.now();
    await turnTo(trainsAt(epoch));
    const order = fill(random.fork(epoch).shuffled([...indices]), batchSize);
    let [sum, accepted] = [0, 0];
    for await (const batch of batches(domain, { ...reading, indices: order })) {
      throwIfAborted(signal);
      if (batch.labels.length < batchSize) continue; // broken samples: no step is compiled for the rest
      const report = await current.trainer.step(
        { images: batch.images, targets: await targetsOf(batch), samples: Array.from(batch.indices) },
        {
          learningRate: options.learningRate * scheduleAt(counts.steps, stepsPerEpoch, options.epochs),
          statisticsMomentum: 0.1,
          answers: false,
        },
      );
      imageDims = batch.images.dims;
      counts.steps++;
      counts.trained += batchSize;
      if (report.accepted) [sum, accepted] = [sum + report.loss!, accepted + 1];
      else counts.refused++;
    }
    counts.trainMs += performance.now() - began;
    return sum / accepted;
  };

  let kept = source;
  const scores = [await measure()];
  const losses: number[] = [];
  let best = 0;
  const findReason = (): StopReason | undefined =>
    findStop(
      scores.map(({ value }) => value),
      stop,
    );
  const epochs = options.parameters.length > 0 ? options.epochs : 0;
  while (!findReason() && losses.length < epochs) {
    losses.push(await trainOnce(losses.length));
    if (losses.length % measureEvery > 0 && losses.length < epochs) continue;
    const score = await measure();
    if (score.value > scores[best]!.value || options.keeps === "last") {
      kept = await current.trainer.exportModel();
      best = scores.length;
    }
    scores.push(score);
    const note = `${domain.name}, loss ${losses.at(-1)!.toFixed(3)}, ${(100 * score.value).toFixed(1)} %`;
    onProgress?.({ stage: "fine-tune", done: losses.length, total: options.epochs, note });
  }
  const reason = findReason() ?? "epochs";
  endStretch();
  return { model: kept, scores, best, losses, reason, stretches, ...counts };
}

/** A trainer that another one may take the place of. */
class Current implements AsyncDisposable {
  constructor(public trainer: Trainer) {}

  async replace(next: Trainer): Promise<void> {
    const last = this.trainer;
    this.trainer = next;
    await last[Symbol.asyncDispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.trainer[Symbol.asyncDispose]();
  }
}

/** Gives a trainer of fewer parameters, or of more, the state of those that both train. */
async function handOver(last: Trainer, next: Trainer, imageDims: readonly number[]): Promise<void> {
  await next.warmUp(imageDims);
  const [before, own] = [readTensorFile(await last.checkpoint()), readTensorFile(await next.checkpoint())];
  const tensors = new Map([...own.tensors].map(([name, initial]) => [name, before.tensors.get(name) ?? initial]));
  await next.restore(writeTensorFile({ tensors, metadata: {} }), imageDims);
}

function createTrainer(model: Model, parameters: readonly string[], options: FineTuneOptions): Trainer {
  const { machine, threads, optimization, cacheBytes, head, optimizer = adam(), scale, statistics = "fixed" } = options;
  const train = { loss: head.loss, optimizer, parameters, ...(scale && { scale }) };
  return Trainer.create(model, {
    ...{ machine, threads, optimization, cacheBytes, statistics },
    ...(parameters.length > 0 && { train }),
  });
}

/** As many as a whole number of batches, the first ones twice where that takes more. */
function fill(order: readonly number[], batchSize: number): number[] {
  const wanted = Math.ceil(order.length / batchSize) * batchSize;
  return Array.from({ length: wanted }, (_, i) => order[i % order.length]!);
}

/** Share of the learning rate: rises through the first epoch, since Adam's first steps are as large as any, then falls along a half cosine. */
function scheduleAt(step: number, stepsPerEpoch: number, epochs: number): number {
  const rise = Math.min(1, (step + 1) / stepsPerEpoch);
  const rest = Math.min(1, Math.max(0, step - stepsPerEpoch) / Math.max(1, (epochs - 1) * stepsPerEpoch));
  return rise * 0.5 * (1 + Math.cos(Math.PI * rest));
}
