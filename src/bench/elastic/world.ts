import { LimberError, Random } from "../../base/index.js";
import { WORLD_MODEL_PATH } from "../../demo/index.js";
import type { Model } from "../../graph/index.js";
import { readModelFile } from "../../run/node.js";
import {
  type AugmentOptions,
  corruptDomain,
  type CorruptionName,
  corruptionNames,
  createWorld,
  type Dataset,
  type Domain,
  domainOf,
  parsePreprocessing,
  type Preprocessing,
  preprocessingFromMetadata,
  readDataset,
  type ReadDatasetOptions,
  type Severity,
} from "../../vision/index.js";
import { partOf } from "./sequence.js";

/** Where a bench takes place: a model of a source, and domains that it does not know. */
export interface ElasticWorld {
  readonly name: string;
  readonly model: Model;
  readonly preprocessing: Preprocessing;
  /** Labelled images of the source: to train on, and to choose by. */
  readonly training: Domain;
  readonly validation: Domain;
  /** How images to train on are varied. */
  readonly augment?: AugmentOptions | undefined;
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

export interface DataWorldOptions extends Pick<ReadDatasetOptions, "record" | "signal">, Pick<ElasticWorld, "augment"> {
  /** The source model, and how to feed it. */
  readonly model: Model;
  readonly preprocessing: Preprocessing;
  /** The domain that the model knows. Default: the first. */
  readonly source?: string | undefined;
  /** The domains to come. Default: all others. */
  readonly drifts?: readonly string[] | undefined;
  /**
   * Makes the domains to come: each of these corruptions of each domain that is not the source; where there is none, of one half of the
   * source, which is then no source.
   */
  readonly corruptions?: readonly CorruptionName[] | undefined;
  /** Of the corruptions. Default 5. */
  readonly severity?: Severity | undefined;
}

/** Share of the source's images that are chosen by rather than trained on. */
const HELD = 0.2;

/** A data set whose domains are the source and drifts, or corrupted to be. Throws: what `readDataset` throws; `data.invalid`, `config.invalid`. */
export async function openDataWorld(path: string, options: DataWorldOptions): Promise<ElasticWorld> {
  const { model, preprocessing, corruptions = [], severity = 5, record, signal, augment } = options;
  const dataset = await readDataset(path, { record, signal });
  const { source, others } = partDomains(dataset, options);
  if (others.length === 0 || dataset.classes.length === 0) {
    const message = `world "${path}": labelled images of a source and of at least one other domain, got ${dataset.domains.length} of ${dataset.classes.length} classes; use a folder per domain, in it one per class, or --corrupt`;
    throw new LimberError("data.invalid", message, { path });
  }
  const held = corruptions.find((name) => HELD_OUT.includes(name));
  if (held !== undefined) {
    const message = `corrupt: of ${corruptionNames("reported").join(", ")}, got "${held}", by which settings are chosen; leave it out`;
    throw new LimberError("config.invalid", message, { corruption: held });
  }
  const corrupted = others.flatMap((domain) =>
    corruptions.map((name) =>
      corruptDomain(domain, name, { severity, name: others.length === 1 ? name : `${domain.name}/${name}` }),
    ),
  );
  const domains = corruptions.length > 0 ? corrupted : others;
  const [validation, training] = partOf(source, HELD, new Random(0).fork("held"));
  return {
    ...{ name: dataset.name, model, preprocessing, training, validation, augment },
    drifts: () => ({ ...dataset, domains }),
  };
}

/** Throws: `config.invalid` for a name that there is none of. */
function partDomains(
  dataset: Dataset,
  { source: named, drifts, corruptions = [] }: DataWorldOptions,
): { source: Domain; others: readonly Domain[] } {
  const source = named === undefined ? dataset.domains[0]! : domainOf(dataset, named);
  const others = (drifts?.map((name) => domainOf(dataset, name)) ?? dataset.domains).filter((each) => each !== source);
  if (others.length > 0 || corruptions.length === 0) return { source, others };
  const [own, test] = partOf(source, 0.5, new Random(0).fork("test"));
  return { source: own, others: [test] };
}

/** Corruptions that no usual test set has, for drifts to choose hyper-parameters by. Source: Hendrycks & Dietterich 2019. */
export const HELD_OUT = corruptionNames("held-out");
const SHIFT_SEVERITY = 4;

/** The validation images of the source under each validation shift: nothing of the domains to come is in them. */
export const shiftSource = ({ name, validation, ...world }: ElasticWorld): Dataset => ({
  name: `${name} shifts`,
  classes: world.drifts(1).classes,
  domains: HELD_OUT.map((shift) => corruptDomain(validation, shift, { severity: SHIFT_SEVERITY })),
});
