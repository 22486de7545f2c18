import { invariant, LimberError } from "../base/index.js";
import { type Model, readModel, writeModel } from "../graph/index.js";
import { createMachine, Predictor, type RunTensor, type SessionOptions, writeFileAtomic } from "../run/node.js";
import { batches, type Domain, type Preprocessing, preprocessingToMetadata } from "../vision/index.js";
import { VERSION } from "./version.js";

/** Where a model comes from; travels in its metadata as `limber.<key>`. */
export interface Origin {
  /** `adapt`, `train` or `prune`. */
  readonly command: string;
  /** SHA-256 of the file that it was made from, if any. */
  readonly parent?: string | undefined;
  readonly method: string;
  readonly options: unknown;
  readonly data?: string;
  readonly metrics: unknown;
  readonly seed: number;
  /** Absent where pictures are fed as before. */
  readonly preprocessing?: Preprocessing;
}

const ORIGIN_KEYS = ["command", "parent", "method", "options", "data", "metrics", "seed", "date"].map(
  (key) => `limber.${key}`,
);

/** Adds the origin to a model: everything else that it says is kept. Honours SOURCE_DATE_EPOCH, for builds to the same bytes. */
export function stampModel(
  model: Model,
  { preprocessing, parent, ...origin }: Origin,
  env: Readonly<Record<string, string | undefined>>,
): Model {
  const epoch = Number(env.SOURCE_DATE_EPOCH ?? NaN);
  const date = Number.isFinite(epoch) ? new Date(1000 * epoch) : new Date();
  const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
  const entries: [string, string][] = [
    ...Object.entries(origin).map(([key, value]): [string, string] => [`limber.${key}`, text(value)]),
    ...(parent === undefined ? [] : [["limber.parent", parent] as [string, string]]),
    ["limber.date", date.toISOString()],
    ...(preprocessing ? [preprocessingToMetadata(preprocessing)] : []),
  ];
  // The origin of the parent is found through its hash; a mixture of both would be wrong. What describes the model stays.
  const replaced = new Set([...ORIGIN_KEYS, ...entries.map(([key]) => key)]);
  const kept = [...model.metadata].filter(([key]) => !replaced.has(key));
  return { ...model, producerName: "limber", producerVersion: VERSION, metadata: new Map([...kept, ...entries]) };
}

export interface PublishOptions extends SessionOptions {
  readonly preprocessing: Preprocessing;
  readonly batchSize: number;
  /** Where the batch comes from that both models must agree on. */
  readonly probe: Domain;
}

const LARGEST_DIFFERENCE = 1e-5;

/**
 * Writes a model to a file, but first reads its own bytes back and lets ONNX Runtime predict a batch with them: what is published
 * predicts what was measured. The old file stays until the new one is whole.
 * Throws: `internal` when predictions differ, `train.non-finite` when they are not numbers; `io.full`, `io.failed`, `run.failed`.
 */
export async function publishModel(path: string, model: Model, options: PublishOptions): Promise<void> {
  const bytes = writeModel(model);
  await using machine = createMachine();
  for await (const { images } of batches(options.probe, options)) {
    if (images.dims[0] === 0) break;
    const published = await predictWith(await Predictor.create(machine, readModel(bytes), options), images);
    const measured = await predictWith(await Predictor.create(machine, model, options), images);
    checkAgreement(path, measured, published);
    break;
  }
  await writeFileAtomic(path, bytes);
}

async function predictWith(predictor: Predictor, images: RunTensor): Promise<RunTensor> {
  const { output } = await predictor.predict(images);
  await predictor.dispose();
  return output;
}

/** Throws: `internal`, `train.non-finite` where two outputs differ by more than float32 rounding, relative to the largest value. */
function checkAgreement(path: string, measured: RunTensor, published: RunTensor): void {
  const [expected, got] = [measured, published].map(({ data }) => Array.from(data as Float32Array)) as [
    number[],
    number[],
  ];
  invariant(expected.length === got.length, "two runs of one model give outputs of one shape");
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0) / scale;
  if (difference <= LARGEST_DIFFERENCE) return;
  const message = `export "${path}": predictions within ${LARGEST_DIFFERENCE} of those measured, got a difference of ${difference}; nothing was written`;
  const code = Number.isNaN(difference) ? "train.non-finite" : "internal";
  throw new LimberError(code, message, { path, difference: String(difference) });
}
