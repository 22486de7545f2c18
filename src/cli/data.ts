import { LimberError, Random } from "../base/index.js";
import {
  createStream,
  type Dataset,
  type Domain,
  parseStream,
  type Preprocessing,
  readDataset,
  selectSamples,
  type Skipped,
  visitDomains,
} from "../vision/index.js";
import { createWorld, WORLD_SIZES } from "../vision/world/index.js";
import type { Flags, FlagValues, Surroundings } from "./command.js";

const FORMATS = ["csv", "coco", "voc", "yolo", "masks", "npz", "npy", "idx", "records", "folders", "pictures"] as const;

/** Flags that say what data to read. */
export const DATA_FLAGS = {
  data: {
    kind: "text",
    value: "path",
    required: true,
    help: "a folder, an array or a manifest of labelled images, or world[:domain,...]",
  },
  format: { kind: "text", choices: FORMATS, value: "name", help: "what lies at the path (default: find out)" },
  layout: {
    kind: "text",
    choices: ["class", "domain"],
    value: "kind",
    help: "folders: what the first level is (default: find out)",
  },
  classes: { kind: "list", help: "class names in label order" },
  domains: { kind: "list", help: "only these domains, in this order" },
  domainsBy: { kind: "text", value: "tag", help: "a domain for each value of a tag, such as light=day and light=dusk" },
  severity: {
    kind: "text",
    choices: ["1", "2", "3", "4", "5", "each"],
    value: "level",
    help: "arrays of five severities: which one",
  },
  record: { kind: "list", value: "3x32x32", help: "records: size of one image" },
  split: {
    kind: "text",
    choices: ["train", "validation", "test"],
    value: "name",
    help: "world: which part of the handwriting",
  },
  limit: { kind: "number", minimum: 1, help: "at most this many images per domain, drawn by the seed" },
} as const satisfies Flags;

export type DataFlags = FlagValues<typeof DATA_FLAGS>;

interface OpenDataOptions {
  /** Size of the model's input: the world is drawn at the next larger one. */
  readonly preprocessing: Pick<Preprocessing, "width" | "height">;
  /** Which handwriting the world uses, and how many scenes per domain, unless flags say. */
  readonly split: "train" | "validation" | "test";
  readonly worldSamples: number;
  /** Whether pictures without labels will do; default "required". */
  readonly labels?: "required" | "optional" | undefined;
  /** Length of a row of the model's outputs. */
  readonly outputs?: number | undefined;
}

/** Opens what the data flags name. Throws: what `readDataset` and `createWorld` throw; `data.invalid` for no labels, or classes beyond the model's. */
export async function openData(
  flags: DataFlags,
  { signal, seed }: Pick<Surroundings, "signal" | "seed">,
  options: OpenDataOptions,
): Promise<Dataset> {
  const world = /^world(?::(.*))?$/.exec(flags.data);
  const dataset = world
    ? openWorld(flags, world[1], options)
    : await readDataset(flags.data, { ...flags, signal, severity: severityOf(flags) });
  if (dataset.classes.length === 0 && options.labels !== "optional") {
    const message = `data "${flags.data}": images with labels, got pictures without; put those of each class into a folder named after it`;
    throw new LimberError("data.invalid", message, { path: flags.data });
  }
  const { outputs = Infinity } = options;
  if (dataset.classes.length > outputs) {
    const message = `data "${flags.data}": at most ${outputs} classes, the outputs of the model, got ${dataset.classes.length}; give --classes, or another model`;
    throw new LimberError("data.invalid", message, { classes: dataset.classes.length, outputs });
  }
  if (flags.limit === undefined) return dataset;
  const limit = flags.limit;
  return { ...dataset, domains: dataset.domains.map((domain) => drawSamples(domain, limit, seed)) };
}

function openWorld(
  flags: DataFlags,
  named: string | undefined,
  { preprocessing, split, worldSamples }: OpenDataOptions,
): Dataset {
  const { width, height } = preprocessing;
  const size = WORLD_SIZES.find((each) => each >= Math.max(width, height)) ?? WORLD_SIZES.at(-1)!;
  const names = flags.domains ?? named?.split(",").map((name) => name.trim());
  return createWorld({ size }).dataset(flags.split ?? split, flags.limit ?? worldSamples, names);
}

function severityOf({ severity }: DataFlags): 1 | 2 | 3 | 4 | 5 | "each" | undefined {
  return severity === undefined || severity === "each" ? severity : (Number(severity) as 1 | 2 | 3 | 4 | 5);
}

/** At most `count` samples of a domain, drawn by the seed, in their stored order. */
function drawSamples(domain: Domain, count: number, seed: number): Domain {
  if (domain.samples <= count) return domain;
  const all = Array.from({ length: domain.samples }, (_, i) => i);
  const drawn = new Random(seed).fork(`limit ${domain.name}`).shuffled(all).slice(0, count);
  return selectSamples(
    domain,
    drawn.sort((a, b) => a - b),
  );
}

/** The visits of a stream such as `clean,fog*2,clean:100` as one domain each; a domain that comes back shows fresh samples first. */
export function layOutStream(dataset: Dataset, text: string, batchSize: number, seed: number): Domain[] {
  return visitDomains(createStream(dataset, { visits: parseStream(text), batchSize, seed }));
}

/** Notes the first few samples that were skipped, and why; the rest is only counted. */
export function createSkipNotes(note: (line: string) => void, shown = 5): (skipped: Skipped) => void {
  let count = 0;
  return ({ path, reason }) => {
    count++;
    if (count <= shown) note(`skipped ${path}: ${reason}`);
    if (count === shown) note("further skipped images are counted, not listed");
  };
}
