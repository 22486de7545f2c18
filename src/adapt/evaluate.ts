import type { LongCall } from "../base/index.js";
import type { Predictor } from "../run/node.js";
import { batches, type Domain, type Preprocessing, type Skipped } from "../vision/index.js";
import { addTallies, EMPTY_TALLY, type Tally, tallyBatch } from "./metrics.js";

export interface EvaluateOptions extends LongCall {
  readonly batchSize: number;
  readonly preprocessing: Preprocessing;
  /** The samples to use; default: all of the domain. */
  readonly indices?: readonly number[] | undefined;
  /** Called for each sample that could not be read. */
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
}

/** Predicts every sample of a domain and counts the correct ones. Throws: `aborted`, `shape.mismatch`, `run.failed`. */
export async function evaluate(predictor: Predictor, domain: Domain, options: EvaluateOptions): Promise<Tally> {
  const { onProgress, onSkipped, signal, ...reading } = options;
  let tally = EMPTY_TALLY;
  const total = options.indices?.length ?? domain.samples;
  for await (const batch of batches(domain, { ...reading, signal })) {
    for (const skipped of batch.skipped) onSkipped?.(skipped);
    if (batch.labels.length > 0) {
      const { output } = await predictor.predict(batch.images);
      tally = addTallies(tally, tallyBatch(output, batch.labels, 0));
    }
    tally = { ...tally, skipped: tally.skipped + batch.skipped.length };
    onProgress?.({ stage: "eval", done: tally.total + tally.skipped, total, note: domain.name });
  }
  return tally;
}
