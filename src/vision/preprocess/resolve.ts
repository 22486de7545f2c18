import { readFile } from "node:fs/promises";
import { LimberError } from "../../base/index.js";
import { fileError } from "../../run/node.js";
import {
  channelsOf,
  expandPreset,
  parseJson,
  parsePreprocessing,
  preprocessingFromMetadata,
  PREPROCESSING_KEY,
  type PartialPreprocessing,
  type Preprocessing,
  type PreprocessingFields,
} from "./preprocessing.js";

/** Who said how to prepare the input; the first that said anything names the result. */
export type PreprocessingSource = "flags" | "sidecar" | "metadata" | "guess";

export interface ResolvePreprocessingOptions {
  readonly flags?: PartialPreprocessing | undefined;
  /** Sidecars are looked for beside this file: `model.preprocess.json`, or the field `preprocessing` of `model.json`. */
  readonly modelPath?: string | undefined;
  readonly metadata?: ReadonlyMap<string, string> | undefined;
  /** The shape of the model's image input; names for symbolic axes. */
  readonly inputShape: readonly (number | string)[];
}

export interface ResolvedPreprocessing {
  readonly preprocessing: Preprocessing;
  readonly source: PreprocessingSource;
  readonly warnings: readonly string[];
}

/**
 * Finds out how to prepare a model's input. Field by field, flags come before the sidecar, the sidecar before the metadata of
 * the model, and the shape of its input fills the rest. Guessing the scale of the values is a warning.
 * Throws: `config.invalid`, `shape.mismatch` when the result does not fit the input.
 */
export async function resolvePreprocessing(options: ResolvePreprocessingOptions): Promise<ResolvedPreprocessing> {
  const { modelPath, metadata, inputShape } = options;
  const warnings: string[] = [];
  const said: readonly (readonly [PreprocessingSource, PreprocessingFields | undefined])[] = [
    ["flags", options.flags && expandPreset(options.flags, "flags")],
    ["sidecar", modelPath === undefined ? undefined : await readSidecar(modelPath, warnings)],
    ["metadata", metadata && preprocessingFromMetadata(metadata)],
  ];
  const spoken = said.filter(([, fields]) => fields !== undefined && Object.keys(fields).length > 0);
  const given = Object.assign({}, ...spoken.map(([, fields]) => fields).reverse()) as PreprocessingFields;
  const fromShape = fieldsOfShape(inputShape, given.layout);
  const preprocessing = parsePreprocessing(
    { ...fromShape, ...given },
    spoken.map(([source]) => source).join(", ") || "preprocessing guessed from the model's input",
  );
  checkFits(preprocessing, inputShape);
  if (given.scale === undefined && given.mean === undefined && given.std === undefined) {
    warnings.push(
      `preprocessing: levels divided by 255 is a guess; give a preset, or scale, mean and std, or store ${PREPROCESSING_KEY} in the model`,
    );
  }
  return { preprocessing, source: spoken[0]?.[0] ?? "guess", warnings };
}

/** What the shape of an image input says by itself. */
function fieldsOfShape(
  shape: readonly (number | string)[],
  layout: Preprocessing["layout"] | undefined,
): PreprocessingFields {
  const isChannels = (axis: number): boolean => shape[axis] === 1 || shape[axis] === 3;
  const found = layout ?? (!isChannels(1) && isChannels(3) ? "NHWC" : "NCHW");
  const [channels, height, width] = (found === "NCHW" ? [1, 2, 3] : [3, 1, 2]).map((axis) => shape[axis]);
  return {
    layout: found,
    ...(typeof height === "number" && { height }),
    ...(typeof width === "number" && { width }),
    ...(channels === 1 && { color: "GRAY" as const }),
  };
}

function checkFits(preprocessing: Preprocessing, shape: readonly (number | string)[]): void {
  const { width, height, layout } = preprocessing;
  const channels = channelsOf(preprocessing);
  const own = layout === "NCHW" ? [channels, height, width] : [height, width, channels];
  const fits = shape.length === 4 && own.every((size, i) => typeof shape[i + 1] === "string" || shape[i + 1] === size);
  if (fits) return;
  throw new LimberError(
    "shape.mismatch",
    `preprocessing: an input of shape [${shape.join(",")}] expected, got [N,${own.join(",")}]; correct width, height, layout or color`,
    { expected: [...shape], got: own },
  );
}

/** Reads what lies beside the model, if anything does. */
async function readSidecar(modelPath: string, warnings: string[]): Promise<PreprocessingFields | undefined> {
  const stem = modelPath.replace(/\.onnx$/, "");
  const own = await readJson(`${stem}.preprocess.json`);
  if (own !== undefined) return expandPreset(own, `${stem}.preprocess.json`);
  const path = `${stem}.json`;
  const shared = await readJson(path);
  if (shared === undefined) return undefined;
  if (typeof shared === "object" && shared !== null && "preprocessing" in shared)
    return expandPreset(shared.preprocessing, path);
  warnings.push(`${path}: a field "preprocessing" expected, got none; the file was ignored`);
  return undefined;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return parseJson(await readFile(path, "utf8"), path);
  } catch (error) {
    const failure = fileError(path, error);
    if (failure.code === "io.not-found") return undefined;
    throw failure;
  }
}
