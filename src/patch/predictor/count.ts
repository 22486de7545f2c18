import type { LongCall } from "../../base/index.js";
import { costOf, inferShapes, type Model } from "../../graph/index.js";
import { type Machine, Predictor, type SessionOptions } from "../../run/node.js";
import { batches, type Domain, type Preprocessing } from "../../vision/index.js";
import { type CountDecision, countProbabilities, type CountRule, predictCount } from "./decide.js";

export interface CountOptions extends LongCall, SessionOptions {
  readonly machine: Machine;
  readonly preprocessing: Preprocessing;
  /** The samples to look at; default: all. */
  readonly indices?: readonly number[] | undefined;
  /** Default 64. */
  readonly batchSize?: number | undefined;
}

/** What a network says of one picture. */
export interface CountRow {
  readonly index: number;
  readonly label: number;
  /** The probability of each number of patches. */
  readonly probabilities: readonly number[];
}

/** What was looked at, and what that took. */
export interface CountRun {
  readonly rows: readonly CountRow[];
  /** Multiply-accumulates of all. */
  readonly macs: number;
  readonly seconds: number;
}

/** Runs pictures through a network that counts patches. Throws: `aborted`, `shape.mismatch`, `run.failed`. */
export async function runCount(
  model: Model,
  domain: Domain,
  { machine, preprocessing, indices, batchSize = 64, signal, onProgress, ...session }: CountOptions,
): Promise<CountRun> {
  const began = performance.now();
  await using predictor = await Predictor.create(machine, model, session);
  const rows: CountRow[] = [];
  for await (const batch of batches(domain, { preprocessing, indices, batchSize, signal })) {
    if (batch.labels.length === 0) continue;
    const { output } = await predictor.predict(batch.images);
    const answers = countProbabilities(output);
    rows.push(
      ...answers.map((probabilities, i) => ({ index: batch.indices[i]!, label: batch.labels[i]!, probabilities })),
    );
    onProgress?.({ stage: "count", done: rows.length, total: indices?.length ?? domain.samples });
  }
  const { macs } = costOf(inferShapes(model, { batch: 1 }));
  return { rows, macs: rows.length * macs, seconds: (performance.now() - began) / 1000 };
}

/**
 * How many patches a drift takes, by a network that `trainCount` made; 32 pictures or more tell. Throws: as `runCount`, and
 * `data.invalid` where none of them can be read.
 */
export async function countPatches(
  model: Model,
  domain: Domain,
  { margin, quantile, ...options }: CountOptions & CountRule,
): Promise<CountDecision & Omit<CountRun, "rows">> {
  const { rows, ...cost } = await runCount(model, domain, options);
  const probabilities = rows.map((row) => row.probabilities);
  return { ...predictCount(probabilities, { margin, quantile }), ...cost };
}
