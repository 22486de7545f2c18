import { LimberError, type LongCall } from "../base/index.js";
import type { Model } from "../graph/index.js";
import { type Machine, Predictor, type SessionOptions } from "../run/node.js";
import {
  batches,
  type Domain,
  type Preprocessing,
  type TaskHead,
  type Truth,
  unfitTruth,
  UNLABELLED,
} from "../vision/index.js";
import { forwardMacs } from "./books.js";
import type { Ledger } from "./ledger.js";

/** A model whose answers serve as labels. */
export interface Teacher {
  readonly name: string;
  readonly model: Model;
  readonly preprocessing: Preprocessing;
  readonly head: TaskHead<unknown>;
}

export interface LabelOptions extends LongCall, SessionOptions {
  readonly machine: Machine;
  readonly indices: readonly number[];
  readonly batchSize: number;
  readonly ledger?: Ledger | undefined;
}

/**
 * The domain as teachers see it: of each sample the class, boxes or mask that the first of them with an answer gives, as far as it can be
 * believed, and nothing of what was labelled before. Of samples that cannot be read nothing is known.
 * Cost: one forward pass of each teacher over the samples. Throws: `aborted`, `shape.mismatch`, `run.failed`.
 */
export async function labelDomain(
  domain: Domain,
  teachers: readonly Teacher[],
  { machine, indices, batchSize, ledger, signal, ...session }: LabelOptions,
): Promise<Domain> {
  const classes = new Map<number, number>();
  const truths = new Map<number, Truth>();
  const sizes = new Map<number, { readonly width: number; readonly height: number }>();
  const measured: Domain = {
    name: domain.name,
    samples: domain.samples,
    label: (index) => domain.label(index),
    pathOf: (index) => domain.pathOf(index),
    async read(index) {
      const reading = await domain.read(index);
      if ("image" in reading) sizes.set(index, reading.image);
      return reading;
    },
  };
  for (const { name, model, preprocessing, head } of teachers) {
    const began = performance.now();
    let count = 0;
    await using predictor = await Predictor.create(machine, model, session);
    for await (const batch of batches(measured, { indices, preprocessing, batchSize, signal })) {
      if (batch.labels.length === 0) continue;
      const { labels, truths: found } = head.pseudoLabels((await predictor.predict(batch.images)).output);
      batch.indices.forEach((index, i) => {
        if (labels[i]! !== UNLABELLED && !classes.has(index)) classes.set(index, labels[i]!);
        const truth = unfitTruth(found?.[i] ?? {}, sizes.get(index)!, preprocessing);
        truths.set(index, { ...truth, ...truths.get(index) });
      });
      count += batch.labels.length;
    }
    const seconds = (performance.now() - began) / 1000;
    ledger?.add({ model: name, technique: "labels", macs: count * forwardMacs(model, preprocessing), seconds, count });
  }
  return {
    name: domain.name,
    samples: domain.samples,
    read: (index) => domain.read(index),
    pathOf: (index) => domain.pathOf(index),
    tags: (index) => domain.tags?.(index) ?? [],
    label: (index) => classes.get(index) ?? UNLABELLED,
    truth: (index) => {
      const truth = truths.get(index);
      if (truth) return Promise.resolve(truth);
      const message = `${domain.pathOf(index)}: a label of a teacher, got none; label it first`;
      return Promise.reject(new LimberError("data.invalid", message));
    },
  };
}
