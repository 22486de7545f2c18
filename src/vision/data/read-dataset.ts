import { resolve } from "node:path";
import { LimberError } from "../../base/index.js";
import { readPlace, type Place } from "../files.js";
import { DATASET_READERS } from "./readers/index.js";
import { DATASET_LIMITS, type DatasetFormat, type DatasetReader, type ReadDatasetOptions } from "./readers/reader.js";
import { splitByTag } from "./split-by-tag.js";
import type { Dataset, Domain } from "./types.js";

/**
 * Opens a data set: finds out what lies at the path, reads names and labels, leaves the pictures for later.
 * Throws: `io.not-found`, `io.failed`, `data.invalid`, `config.invalid`, `limit.exceeded`, `aborted`.
 */
export async function readDataset(path: string, options: ReadDatasetOptions = {}): Promise<Dataset> {
  const place = await readPlace(resolve(path));
  const reader = await findReader(place, options.format);
  if (reader === undefined) {
    const known = DATASET_READERS.map(({ reads }) => reads).join("; or ");
    throw new LimberError(
      "data.invalid",
      `${path}: a data set expected, got ${place.isFolder ? "a folder without one" : "another kind of file"}; Limber reads ${known}`,
      { path },
    );
  }
  const context = { ...options, limits: { ...DATASET_LIMITS, ...options.limits } };
  const whole = await reader.read(place, context);
  const dataset = options.domainsBy === undefined ? whole : splitByTag(whole, options.domainsBy);
  const { limits } = context;
  const samples = dataset.domains.reduce((sum, domain) => sum + domain.samples, 0);
  if (samples > limits.samples || dataset.domains.length > limits.domains) {
    throw new LimberError(
      "limit.exceeded",
      `${path}: at most ${limits.samples} images in ${limits.domains} domains expected, got ${samples} in ${dataset.domains.length}; split the data set`,
      { path },
    );
  }
  if (samples === 0)
    throw new LimberError(
      "data.invalid",
      `${path}: ${reader.reads} expected, got no image; check the path or force another format`,
      { path },
    );
  const domains = options.domains?.map((name) => domainOf(dataset, name)) ?? dataset.domains;
  return { ...dataset, domains };
}

async function findReader(place: Place, format: DatasetFormat | undefined): Promise<DatasetReader | undefined> {
  for (const reader of DATASET_READERS) {
    if (format ? reader.format === format : await reader.detects(place)) return reader;
  }
  return undefined;
}

/** The domain of that name. Throws: `config.invalid`, naming those that exist. */
export function domainOf(dataset: Dataset, name: string): Domain {
  const domain = dataset.domains.find((each) => each.name === name);
  if (domain !== undefined) return domain;
  const names = dataset.domains.map((each) => each.name);
  throw new LimberError(
    "config.invalid",
    `${dataset.name}: a domain among ${names.join(", ")} expected, got "${name}"; correct the name`,
    { name, names },
  );
}
