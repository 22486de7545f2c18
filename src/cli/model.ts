import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isClassifier } from "../adapt/index.js";
import { LimberError } from "../base/index.js";
import { fixSparsity, gatesOf, type Model, type ValueInfo } from "../graph/index.js";
import { fileError, readModelFile, type NodeProvider } from "../run/node.js";
import {
  type PartialPreprocessing,
  type Preprocessing,
  PREPROCESSING_PRESETS,
  resolvePreprocessing,
} from "../vision/index.js";
import type { Flags, FlagValues, Surroundings } from "./command.js";
import { formatDims } from "./format.js";

/** Flags about the model file. */
export const MODEL_FLAGS = {
  externalData: { kind: "boolean", help: "accept weights in other files of the model's folder" },
} as const satisfies Flags;

const PRESETS = Object.keys(PREPROCESSING_PRESETS) as (keyof typeof PREPROCESSING_PRESETS)[];

/** Flags that say how pictures become numbers; they win over the sidecar and over what the model says. */
export const PREPROCESSING_FLAGS = {
  preset: { kind: "text", choices: PRESETS, value: "name", help: "a known recipe; other flags win over its fields" },
  size: { kind: "dims", value: "HxW", help: "height and width of the input, or one number for both" },
  scale: {
    kind: "number",
    fraction: true,
    help: "factor on levels 0 to 255, before mean and deviation (1/255 = 0.00392156862745098)",
  },
  mean: { kind: "numbers", help: "mean of the scaled levels, one for all channels or one for each" },
  std: { kind: "numbers", help: "deviation of the scaled levels, one for all channels or one for each" },
  color: { kind: "text", choices: ["RGB", "BGR", "GRAY"], value: "order", help: "order of the channels" },
  resize: { kind: "text", choices: ["stretch", "shortest", "none"], value: "how", help: "how pictures come to size" },
  cropRatio: {
    kind: "number",
    fraction: true,
    minimum: 0,
    maximum: 1,
    help: "share that --resize shortest keeps of the scaled picture",
  },
} as const satisfies Flags;

export type ModelFlags = FlagValues<typeof MODEL_FLAGS>;
export type PreprocessingFlags = FlagValues<typeof PREPROCESSING_FLAGS>;

/** A model from a file and how to feed it. */
export interface OpenModel {
  readonly model: Model;
  readonly preprocessing: Preprocessing;
  /** Images per run: what was asked for, or what the model fixes. */
  readonly batchSize: number;
  /** Length of a row of outputs, if the model says. */
  readonly outputs: number | undefined;
}

/** Opens a classifier. Throws: what `readModelFile` and `resolvePreprocessing` throw; `config.invalid` for another kind of model. */
export async function openClassifier(
  path: string,
  flags: ModelFlags & PreprocessingFlags & { readonly batch: number },
  context: Pick<Surroundings, "note">,
): Promise<OpenModel> {
  const model = await readModelFile(path, { allowExternalData: flags.externalData });
  return prepareClassifier(path, model, flags, context);
}

/** Opens a model of images, whatever it tells of them. Throws: as `openClassifier`. */
export async function openImageModel(
  path: string,
  flags: ModelFlags & PreprocessingFlags & { readonly batch: number },
  context: Pick<Surroundings, "note">,
): Promise<OpenModel> {
  return prepareImageModel(path, await readModelFile(path, { allowExternalData: flags.externalData }), flags, context);
}

/** The same for a model that is in memory already; `path` is where its sidecar would be. */
export async function prepareClassifier(
  path: string | undefined,
  model: Model,
  flags: PreprocessingFlags & { readonly batch: number },
  context: Pick<Surroundings, "note">,
): Promise<OpenModel> {
  checkClassifier(model);
  return prepareImageModel(path, model, flags, context);
}

/** The same for any model of images. */
export async function prepareImageModel(
  path: string | undefined,
  model: Model,
  flags: PreprocessingFlags & { readonly batch: number },
  { note }: Pick<Surroundings, "note">,
): Promise<OpenModel> {
  const input = imageInputOf(model);
  const { preprocessing, warnings } = await resolvePreprocessing({
    flags: preprocessingOf(flags),
    modelPath: path,
    metadata: model.metadata,
    inputShape: input.dims ?? ["", "", "", ""],
  });
  for (const warning of warnings) note(`warning: ${warning}`);
  const fixed = input.dims?.[0];
  const batchSize = typeof fixed === "number" ? fixed : flags.batch;
  if (batchSize !== flags.batch) note(`warning: the model fixes its batch, images come ${batchSize} at a time`);
  const outputs = model.graph.outputs[0]?.dims?.[1];
  return { model, preprocessing, batchSize, outputs: typeof outputs === "number" ? outputs : undefined };
}

/** Throws: `config.invalid` unless the model gives scores per class. */
function checkClassifier(model: Model): void {
  const output = model.graph.outputs[0];
  if (output && isClassifier(model)) return;
  const got = output ? `"${output.name}" ${formatDims(output.dims)}` : "none";
  throw new LimberError(
    "config.invalid",
    `model: a classifier whose first output is [N,K], got ${got}; this command takes classifiers only`,
  );
}

/** How many gates a model has whose sparsity is still an input: not 0 for a master. */
const openGates = (model: Model): number => {
  const { gates, sparsity } = gatesOf(model);
  return model.graph.inputs.some(({ name }) => name === sparsity) ? gates.length : 0;
};

/** A master as the model that it is when no gate closes; any other model as it is. */
export function openWhole(model: Model, { note }: Pick<Surroundings, "note">): Model {
  if (openGates(model) === 0) return model;
  note("a master: taken with all of its channels (sparsity 0); limber elastic cuts small models from it");
  return fixSparsity(model, 0);
}

/** Throws: `config.invalid` for a master. */
export function checkPlain(model: Model): void {
  const gates = openGates(model);
  if (gates === 0) return;
  const message = `model: one without gates, got a master with ${gates}; limber elastic cuts small models from it and adapts them`;
  throw new LimberError("config.invalid", message, { gates });
}

/** Throws: `config.invalid` unless the model takes one tensor. */
function imageInputOf(model: Model): ValueInfo {
  const { graph } = model;
  checkPlain(model);
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const [input] = inputs;
  if (!input || inputs.length > 1) {
    const names = inputs.map(({ name }) => name).join(", ");
    throw new LimberError("config.invalid", `model: one image input, got ${inputs.length}${names && ` (${names})`}`);
  }
  return input;
}

function preprocessingOf({ size, ...given }: PreprocessingFlags): PartialPreprocessing {
  if (size && size.length > 2)
    throw new LimberError("config.invalid", `--size: HxW or one number, got ${size.join("x")}`);
  const [height, width = height] = size ?? [];
  const { preset, scale, mean, std, color, resize, cropRatio } = given;
  return { preset, height, width, scale, mean: mean && [...mean], std: std && [...std], color, resize, cropRatio };
}

/** SHA-256 of a file, in hex. Throws: `io.not-found`, `io.failed`. */
export async function hashFile(path: string): Promise<string> {
  try {
    return createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
  } catch (cause) {
    throw fileError(`model file "${path}"`, cause);
  }
}

/** Where and how models run, as options; `threads` is left out when not chosen. */
export const runtimeOf = ({
  threads,
  provider,
}: Pick<Surroundings, "threads" | "provider">): { provider: NodeProvider; threads?: number } => ({
  provider,
  ...(threads !== undefined && { threads }),
});
