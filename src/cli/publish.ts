import { invariant, LimberError } from "../base/index.js";
import { type Model, readModel, writeModel } from "../graph/index.js";
import { createMachine, Predictor, type RunTensor, type SessionOptions, writeFileAtomic } from "../run/node.js";
import { batches, type Domain, type Preprocessing, preprocessingToMetadata } from "../vision/index.js";
import { VERSION } from "./version.js";

/** Where a model comes from; travels in its metadata as `limber.<key>`. */
export interface Origin {
  /** `adapt` or `train`. */
  readonly command: string;
  /** SHA-256 of the file that it was made from, if any. */
  readonly parent?: string | undefined;
  readonly method: string;
  readonly options: unknown;
  readonly data: string;
  readonly metrics: unknown;
  readonly seed: number;
  readonly preprocessing: Preprocessing;
}

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
    preprocessingToMetadata(preprocessing),
  ];
  // The origin of the parent is found through its hash; a mixture of both would be wrong.
  const kept = [...model.metadata].filter(([key]) => !key.startsWith("limber."));
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
 * Throws: `internal` when predictions differ; `io.full`, `io.failed`, `run.failed`.
 */
export async function publishModel(path: string, model: Model, options: PublishOptions): Promise<void> {
  const bytes = writeModel(model);
  await using machine = createMachine();
  for await (const { images } of batches(options.probe, options)) {
    if (images.dims[0] === 0) break;
    const published = await predictWith(await Predictor.create(machine, readModel(bytes), options), images);
    // Unoptimized: what the graph says, without the rewriting that the published file will meet.
    const plain = { ...options, optimization: "disabled" } as const;
    const measured = await predictWith(await Predictor.create(machine, model, plain), images);
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

/** Throws: `internal` where two outputs differ by more than float32 rounding, relative to the largest value. */
function checkAgreement(path: string, { data: expected }: RunTensor, { data: got }: RunTensor): void {
  invariant(expected.length === got.length, "two runs of one model give outputs of one shape");
  const scale = expected.reduce((most: number, value) => Math.max(most, Math.abs(Number(value))), 1);
  const worst = expected.reduce((most: number, value, i) => Math.max(most, Math.abs(Number(value) - Number(got[i]))), 0);
  if (worst <= LARGEST_DIFFERENCE * scale) return;
  const message = `export "${path}": predictions within ${LARGEST_DIFFERENCE} of those measured, got a difference of ${worst / scale}; nothing was written`;
  throw new LimberError("internal", message, { path, difference: worst / scale });
}
