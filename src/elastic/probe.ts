import type { Model, Statistics } from "../graph/index.js";
import type { KeptTrainers, RunTensor, SessionOptions, StepReport } from "../run/node.js";

export interface ProbeOptions extends SessionOptions {
  readonly trainers: KeptTrainers;
  /** Inner values to show. */
  readonly values?: readonly string[] | undefined;
  /** Tells models of different structure apart that are shown the same way, so that each stays compiled. */
  readonly role?: string | undefined;
  /** Default: those that are stored. */
  readonly statistics?: Statistics | undefined;
}

/** Runs a model once on a batch, and shows values inside of it. Throws: `run.failed`, `shape.mismatch`. */
export async function probe(model: Model, images: RunTensor, options: ProbeOptions): Promise<StepReport> {
  const { trainers, values = [], role = "", statistics = "fixed", threads, optimization } = options;
  const settings = { statistics, observe: values, threads, optimization };
  const trainer = await trainers.take(`probe ${role} ${values.join()} ${JSON.stringify(statistics)}`, model, settings);
  return trainer.step({ images });
}

/** The numbers of each image in a batch. */
export function rowsOf({ data, dims }: RunTensor): Float32Array[] {
  const length = data.length / dims[0]!;
  return Array.from({ length: dims[0]! }, (_, row) =>
    (data as Float32Array).subarray(row * length, (row + 1) * length),
  );
}
