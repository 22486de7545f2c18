import { LimberError, Random, type StopSignal, type Tensor } from "../base/index.js";
import type { Model } from "../graph/index.js";
import { type Machine, type SessionOptions, Trainer } from "../run/node.js";
import { type Batch, batches, type Domain, type Preprocessing, selectSamples, type Skipped } from "../vision/index.js";
import { estimateImportance, importancePlan } from "./importance.js";
import type { Method, MethodPlan, StreamBatch } from "./method.js";

interface Images {
  readonly domain: Domain;
  readonly samples?: number | undefined;
}

interface Reading {
  readonly batchSize: number;
  readonly preprocessing: Preprocessing;
  readonly seed?: number | undefined;
  readonly signal?: StopSignal | undefined;
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
}

/** The images of the source that a method is given, in an order drawn by the seed. Throws: `config.invalid` for fewer than a batch. */
export function sourceImages(
  method: Method,
  { source, seed }: { readonly source?: Images | undefined; readonly seed?: number | undefined },
  batchSize: number,
): Domain {
  const most = source?.samples ?? 2000;
  if (!source || Math.min(source.domain.samples, most) < batchSize) {
    const got = source ? `${Math.min(source.domain.samples, most)}` : "none";
    const message = `method "${method.name}": ${batchSize} images of the source (one batch) or more, got ${got}; give --source-data, or take a method without`;
    throw new LimberError("config.invalid", message, { method: method.name });
  }
  const all = Array.from({ length: source.domain.samples }, (_, i) => i);
  return selectSamples(source.domain, new Random(seed ?? 0).fork("source").shuffled(all).slice(0, most));
}

/** Full batches of the images over and over, in an order of its own each time. */
export async function* endlessBatches(
  images: Domain,
  { random, ...reading }: Reading & { readonly random: Random },
): AsyncGenerator<StreamBatch, never, undefined> {
  const all = Array.from({ length: images.samples }, (_, i) => i);
  for (let pass = 0; ; pass++) {
    let given = 0;
    const indices = random.shuffled(all);
    for await (const batch of fullBatches(images, { ...reading, indices })) {
      given++;
      const { labels } = batch;
      const targets = { dtype: "int64", dims: [labels.length], data: BigInt64Array.from(labels, BigInt) } as const;
      yield { images: batch.images, targets, indices: batch.indices };
    }
    if (given > 0) continue;
    const message = `source images: a batch of ${reading.batchSize} that can be read, got fewer; check them`;
    throw new LimberError("data.invalid", message);
  }
}

async function* fullBatches(
  images: Domain,
  reading: Omit<Reading, "seed"> & { readonly indices?: readonly number[] },
): AsyncGenerator<Batch> {
  for await (const batch of batches(images, reading)) {
    for (const skipped of batch.skipped) reading.onSkipped?.(skipped);
    if (batch.labels.length === reading.batchSize) yield batch;
  }
}

/** How much each parameter that the plan trains matters on images of the source. */
export async function measureImportance(
  model: Model,
  plan: MethodPlan,
  machine: Machine,
  { images, ...options }: Reading & SessionOptions & { readonly images: Domain },
): Promise<Map<string, Tensor>> {
  const batchSize = plan.wantsImportance === "samples" ? 1 : options.batchSize;
  await using trainer = Trainer.create(model, { ...importancePlan(plan), ...options, machine });
  return await estimateImportance(trainer, fullBatches(images, { ...options, batchSize }));
}
