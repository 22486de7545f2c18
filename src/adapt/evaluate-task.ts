import type { Predictor } from "../run/node.js";
import { batches, type Domain, type Score, type TaskHead } from "../vision/index.js";
import type { EvaluateOptions } from "./evaluate.js";

/** What a model scores on a domain, and how many samples could not be read or had broken labels. */
export interface TaskScore extends Score {
  readonly skipped: number;
}

/**
 * Predicts every sample of a domain and measures the answers as the task does.
 * Throws: `aborted`, `shape.mismatch`, `run.failed`; `data.invalid` where the domain has no labels of that kind.
 */
export async function evaluateTask(
  predictor: Predictor,
  head: Pick<TaskHead<unknown>, "createMeter">,
  domain: Domain,
  options: EvaluateOptions,
): Promise<TaskScore> {
  const { onProgress, onSkipped, signal, ...reading } = options;
  const meter = head.createMeter();
  const total = options.indices?.length ?? domain.samples;
  let [done, skipped] = [0, 0];
  for await (const batch of batches(domain, { ...reading, truth: true, signal })) {
    for (const each of batch.skipped) onSkipped?.(each);
    if (batch.labels.length > 0) {
      const { output } = await predictor.predict(batch.images);
      meter.add(output, batch);
    }
    skipped += batch.skipped.length;
    done += batch.labels.length + batch.skipped.length;
    onProgress?.({ stage: "eval", done, total, note: domain.name });
  }
  return { ...meter.read(), skipped };
}
