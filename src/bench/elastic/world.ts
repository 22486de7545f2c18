import { LimberError, Random } from "../../base/index.js";
import { WORLD_MODEL_PATH } from "../../demo/index.js";
import type { Model } from "../../graph/index.js";
import { readModelFile } from "../../run/node.js";
import {
  corrupt,
  type CorruptionName,
  createWorld,
  type Dataset,
  type Domain,
  domainOf,
  levelsOf,
  parsePreprocessing,
  type Preprocessing,
  preprocessingFromMetadata,
  readDataset,
  resolvePreprocessing,
  selectSamples,
} from "../../vision/index.js";

/** Where a bench takes place: a model of a source, and domains that it does not know. */
export interface ElasticWorld {
  readonly name: string;
  readonly model: Model;
  readonly preprocessing: Preprocessing;
  /** Labelled images of the source: to train on, and to choose by. */
  readonly training: Domain;
  readonly validation: Domain;
  /** The domains to come, with at least so many images in each where there are as many. */
  readonly drifts: (samples: number) => Dataset;
}

/** The embedded world, from the demo's model of daylight. Its training images were drawn for that model too. */
export async function openDigitsWorld(training = 6000, validation = 1000): Promise<ElasticWorld> {
  const model = await readModelFile(WORLD_MODEL_PATH);
  const world = createWorld();
  const [source, ...drifts] = world.domains;
  const ofSource = (split: "train" | "validation", count: number): Domain =>
    world.dataset(split, count, [source!]).domains[0]!;
  return {
    ...{ name: "digits", model, preprocessing: parsePreprocessing(preprocessingFromMetadata(model.metadata)) },
    ...{ training: ofSource("train", training), validation: ofSource("validation", validation) },
    drifts: (samples) => world.dataset("test", samples, drifts),
  };
}

export interface FolderWorldOptions {
  readonly modelPath: string;
  /** The domain that the model knows. Default: the first. */
  readonly source?: string | undefined;
}

/** Share of the source's images that are chosen by rather than trained on. */
const HELD = 0.2;

/** A folder of domains. Throws: what `readDataset`, `readModelFile` and `resolvePreprocessing` throw; `config.invalid`. */
export async function openFolderWorld(path: string, options: FolderWorldOptions): Promise<ElasticWorld> {
  const model = await readModelFile(options.modelPath);
  const dataset = await readDataset(path);
  const source = options.source === undefined ? dataset.domains[0]! : domainOf(dataset, options.source);
  const drifts = dataset.domains.filter((domain) => domain !== source);
  if (drifts.length === 0 || dataset.classes.length === 0) {
    const message = `world "${path}": labelled images of a source and of at least one other domain, got ${dataset.domains.length} of ${dataset.classes.length} classes; use a folder per domain, in it one per class`;
    throw new LimberError("data.invalid", message, { path });
  }
  const input = model.graph.inputs.find(({ name }) => !model.graph.initializers.has(name));
  const { preprocessing } = await resolvePreprocessing({
    ...{ modelPath: options.modelPath, metadata: model.metadata, inputShape: input?.dims ?? ["", "", "", ""] },
  });
  const order = new Random(0).fork("held").shuffled(Array.from({ length: source.samples }, (_, i) => i));
  const held = Math.ceil(HELD * source.samples);
  return {
    ...{ name: dataset.name, model, preprocessing },
    training: selectSamples(source, order.slice(held)),
    validation: selectSamples(source, order.slice(0, held)),
    drifts: () => ({ ...dataset, domains: drifts }),
  };
}

/** Drifts to choose hyper-parameters by: corruptions that no usual test set has. Source: Hendrycks & Dietterich 2019. */
const SHIFTS = ["speckle_noise", "gaussian_blur", "spatter", "saturate"] as const satisfies readonly CorruptionName[];
const SEVERITY = 4;

/** The validation images of the source under each validation shift: nothing of the domains to come is in them. */
export const shiftSource = ({ name, validation, ...world }: ElasticWorld): Dataset => ({
  name: `${name} shifts`,
  classes: world.drifts(1).classes,
  domains: SHIFTS.map((shift) => ({
    ...validation,
    name: shift,
    read: async (index) => {
      const reading = await validation.read(index);
      if ("unreadable" in reading) return reading;
      const random = new Random(0).fork(`${shift} ${index}`);
      return { image: await corrupt(levelsOf(reading.image), shift, SEVERITY, { random }) };
    },
  })),
});
