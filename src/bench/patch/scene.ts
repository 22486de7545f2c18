import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isLimberError, LimberError, Random } from "../../base/index.js";
import type { Model } from "../../graph/index.js";
import type { Drift } from "../../patch/index.js";
import { readModelFile } from "../../run/node.js";
import {
  corruptDomain,
  type CorruptionName,
  createWorld,
  type Dataset,
  type Domain,
  domainOf,
  keepFitted,
  parsePreprocessing,
  type Preprocessing,
  preprocessingFromMetadata,
  selectSamples,
  type Severity,
  type TaskName,
  taskOf,
  TASKS,
  type WorldSize,
} from "../../vision/index.js";

/** A model that takes part, and how to feed it. */
export interface SceneModel {
  readonly name: string;
  readonly model: Model;
  readonly preprocessing: Preprocessing;
  readonly task: TaskName;
  readonly metric: string;
}

/** Models that run beside each other on one stream of drifts. */
export interface Scene {
  readonly dataset: string;
  readonly backbone: string;
  readonly models: readonly SceneModel[];
  /** What the models know. */
  readonly source: Domain;
  /** A domain to train on, and one to measure on that shares no picture with it. */
  readonly drifts: readonly { readonly name: string; readonly lessons: Domain; readonly test: Domain }[];
  /** Tells from pictures how many patches a drift takes; without it that number is given. */
  readonly counter?: Model | undefined;
}

/** Samples of one drift for a seed. */
export function drawDrift(
  { name, lessons }: Scene["drifts"][number],
  { seed, position, pool, held }: { seed: number; position: number; pool: number; held: number },
): Drift {
  const all = Array.from({ length: lessons.samples }, (_, i) => i);
  const drawn = new Random(seed).fork(`drift ${position} ${name}`).shuffled(all);
  const share = Math.min(1, lessons.samples / (pool + held)); // fewer where there are fewer
  const [own, other] = [Math.floor(pool * share), Math.floor(held * share)];
  return { domain: lessons, pool: drawn.slice(0, own), held: drawn.slice(own, own + other) };
}

/** What the embedded world goes through, the first twice. */
const WORLD_DRIFTS = ["fog", "night", "square-snow", "fog"];
const WORLD_LESSONS = 1000;

/** The embedded world seen by the models `<backbone>-<task>.onnx` of a folder, a scene for each backbone. Throws: `io.not-found`, `config.invalid`. */
export async function openWorldScenes(
  folder: string,
  { backbones, drifts = WORLD_DRIFTS, testImages }: SceneOptions,
): Promise<Scene[]> {
  const isModel = (file: string): boolean => TASKS.some((task) => file.endsWith(`-${task}.onnx`));
  const files = (await readdir(folder).catch(() => [])).filter(isModel).sort();
  const found = [...new Set(files.map((file) => file.split("-")[0]!))];
  const missing = backbones?.find((name) => !found.includes(name));
  if (found.length === 0 || missing !== undefined) {
    const message = `models in "${folder}": ${missing ?? "backbone"}-<task>.onnx, got ${files.join(", ") || "none"}; models/README.md says how they are trained`;
    throw new LimberError("config.invalid", message, { folder });
  }
  const scenes: Scene[] = [];
  for (const backbone of backbones ?? found) {
    const models: SceneModel[] = [];
    for (const file of files.filter((each) => each.startsWith(`${backbone}-`)))
      models.push(openSceneModel(await readModelFile(join(folder, file))));
    const size = Math.max(...models.map(({ preprocessing }) => preprocessing.width)) as WorldSize;
    const world = createWorld({ size });
    const [lessons, tests] = [world.dataset("validation", WORLD_LESSONS), world.dataset("test", testImages)];
    const seen = (dataset: Dataset, name: string): Domain => keepShown(domainOf(dataset, name), models);
    const keptDrifts = [...new Set(drifts)].map((name) => [name, seen(lessons, name), seen(tests, name)] as const);
    scenes.push({
      ...{ dataset: "world", backbone, models, source: domainOf(lessons, "day") },
      counter: await openCounter(counterPath(folder, backbone)),
      drifts: drifts.map((name) => {
        const [, lessons, test] = keptDrifts.find(([each]) => each === name)!;
        return { name, lessons, test };
      }),
    });
  }
  return scenes;
}

/** Where the network that counts patches for a backbone lies, beside its models. */
export const counterPath = (folder: string, backbone: string): string => join(folder, `${backbone}-count.onnx`);

const openCounter = (path: string): Promise<Model | undefined> =>
  readModelFile(path).catch((error: unknown) => {
    if (isLimberError(error, "io.not-found")) return undefined;
    throw error;
  });

/** The domain with its pictures kept in memory, where all models are fed with pictures of one size: everyone sees them again and again. */
export function keepShown(domain: Domain, models: readonly Pick<SceneModel, "preprocessing">[]): Domain {
  const [first, ...others] = models.map(({ preprocessing }) => preprocessing);
  const isSame = ({ width, height }: Preprocessing): boolean => width === first?.width && height === first.height;
  return first && others.every(isSame) ? keepFitted(domain, first) : domain;
}

export interface SceneOptions {
  readonly backbones?: readonly string[] | undefined;
  readonly drifts?: readonly string[] | undefined;
  readonly testImages: number;
}

/** A model whose metadata say how it is fed. Throws: `config.invalid`. */
function openSceneModel(model: Model): SceneModel {
  const preprocessing = parsePreprocessing(preprocessingFromMetadata(model.metadata), "model");
  const { name, metric } = taskOf(model);
  return { name, model, preprocessing, task: name, metric };
}

export interface DataSceneOptions {
  readonly name: string;
  readonly models: readonly Omit<SceneModel, "task" | "metric" | "name">[];
  readonly source?: string | undefined;
  readonly drifts?: readonly string[] | undefined;
  readonly corruptions?: readonly CorruptionName[] | undefined;
  readonly severity?: Severity | undefined;
  /** At most so many, and at most half of a domain. */
  readonly testImages: number;
  readonly seed?: number | undefined;
}

/** A data set of the user's, the drifts its other domains, or corruptions of these. Of each domain a part is kept for measuring. Throws: `config.invalid`. */
export function openDataScene(dataset: Dataset, options: DataSceneOptions): Scene {
  const { name, models, corruptions, severity, testImages, seed = 0 } = options;
  const source = options.source === undefined ? dataset.domains[0]! : domainOf(dataset, options.source);
  const others = dataset.domains.filter((domain) => domain !== source);
  const named = options.drifts?.map((each) => domainOf(dataset, each)) ?? (others.length > 0 ? others : [source]);
  const domains = corruptions
    ? named.flatMap((domain) => corruptions.map((each) => corruptDomain(domain, each, { severity, seed })))
    : named;
  const drifts = domains.map((domain) => {
    const order = new Random(seed).fork(domain.name).shuffled(Array.from({ length: domain.samples }, (_, i) => i));
    const tested = Math.min(testImages, Math.floor(domain.samples / 2));
    const kept = keepShown(domain, models);
    const [test, lessons] = [order.slice(0, tested), order.slice(tested)].map((indices) =>
      selectSamples(kept, indices),
    );
    return { name: domain.name, lessons: lessons!, test: test! };
  });
  const opened = models.map(({ model, preprocessing }): SceneModel => {
    const task = taskOf(model);
    return { name: task.name, model, preprocessing, task: task.name, metric: task.metric };
  });
  return { dataset: name, backbone: "model", models: opened, source, drifts };
}
