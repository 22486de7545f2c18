import type { Model } from "../graph/index.js";
import type { KeptTrainers, RunTensor, SessionOptions, StepReport } from "../run/node.js";

export interface ProbeOptions extends SessionOptions {
  readonly trainers: KeptTrainers;
  /** Inner values to show. */
  readonly values?: readonly string[] | undefined;
}

/** Runs a model once on a batch, and shows values inside of it. Throws: `run.failed`, `shape.mismatch`. */
export async function probe(model: Model, images: RunTensor, options: ProbeOptions): Promise<StepReport> {
  const { trainers, values = [], threads, optimization } = options;
  const settings = { statistics: "fixed" as const, observe: values, threads, optimization };
  const trainer = await trainers.take(`probe ${values.join()}`, model, settings);
  return trainer.step({ images });
}

/** The numbers of each image in a batch. */
export function rowsOf({ data, dims }: RunTensor): Float32Array[] {
  const length = data.length / dims[0]!;
  return Array.from({ length: dims[0]! }, (_, row) =>
    (data as Float32Array).subarray(row * length, (row + 1) * length),
  );
}
