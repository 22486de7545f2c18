import { type LongCall, throwIfAborted } from "../base/index.js";
import { type Model, statisticsOf } from "../graph/index.js";
import { type Machine, type SessionOptions, Trainer } from "../run/node.js";
import { batches, type Domain, type Preprocessing, type TaskHead } from "../vision/index.js";

export interface RefreshOptions extends LongCall, SessionOptions {
  readonly machine: Machine;
  readonly preprocessing: Preprocessing;
  readonly batchSize: number;
  readonly indices: readonly number[];
}

/**
 * The model with the statistics of its normalization layers measured anew on pictures of a domain, the mean over full batches. It takes
 * forward passes only, and no labels. A model without such layers stays as it is.
 * Source: Schneider et al. 2020, arXiv:2006.16971.
 */
export async function refreshStatistics(
  model: Model,
  domain: Domain,
  options: RefreshOptions,
): Promise<{ readonly model: Model; readonly images: number; readonly ms: number }> {
  if (statisticsOf(model).length === 0) return { model, images: 0, ms: 0 };
  const { machine, threads, optimization, preprocessing, batchSize, indices, signal } = options;
  const began = performance.now();
  await using trainer = Trainer.create(model, {
    ...{ machine, threads, optimization },
    statistics: { sourceWeight: 0, variance: "unbiased" },
  });
  let seen = 0;
  for await (const { images, labels } of batches(domain, { preprocessing, batchSize, indices })) {
    throwIfAborted(signal);
    if (labels.length === batchSize || (seen === 0 && labels.length > 1))
      await trainer.step({ images }, { statisticsMomentum: 1 / ++seen, answers: false });
  }
  const refreshed = seen === 0 ? model : await trainer.exportModel();
  return { model: refreshed, images: seen * batchSize, ms: performance.now() - began };
}

/**
 * What a model scores on labelled pictures when each batch is normalized by itself: about what new statistics alone would do, in one pass instead
 * of two.
 */
export async function scoreByBatch(
  model: Model,
  head: Pick<TaskHead<unknown>, "createMeter">,
  domain: Domain,
  { machine, threads, optimization, preprocessing, batchSize, indices, signal }: RefreshOptions,
): Promise<{ readonly value: number; readonly images: number; readonly ms: number }> {
  const began = performance.now();
  await using trainer = Trainer.create(model, {
    ...{ machine, threads, optimization },
    statistics: { sourceWeight: 0, variance: "unbiased" },
  });
  const meter = head.createMeter();
  for await (const batch of batches(domain, { preprocessing, batchSize, indices, truth: true, signal })) {
    if (batch.labels.length > 0) meter.add((await trainer.step({ images: batch.images })).prediction, batch);
  }
  const { value, samples } = meter.read();
  return { value, images: samples, ms: performance.now() - began };
}
