import { stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LimberError, type LongCall, Random, throwIfAborted } from "../base/index.js";
import { writeFileAtomic } from "../run/node.js";
import {
  type Dataset,
  type Domain,
  encodeImage,
  type Image,
  levelsOf,
  type Skipped,
  writeNpy,
} from "../vision/index.js";
import { corrupt, type CorruptionName, type Severity } from "../vision/corrupt/index.js";
import { createFolder } from "./files.js";

/** How corrupted copies are stored: an array per corruption beside `labels.npy`, or `corruption-severity/class/file.png`. */
export const STORES = ["npy", "folders"] as const;
export type Store = (typeof STORES)[number];

export interface CorruptDatasetOptions extends LongCall {
  readonly folder: string;
  readonly corruptions: readonly CorruptionName[];
  readonly severities: readonly Severity[];
  readonly seed: number;
  /** Default: folders where each image has its own file, else arrays. */
  readonly store?: Store | undefined;
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
}

export interface CorruptedSet {
  /** Images read, each corrupted in every way. */
  readonly images: number;
  readonly skipped: number;
  /** Files written, labels included. */
  readonly files: number;
  readonly store: Store;
}

interface Job extends CorruptDatasetOptions {
  /** What the name of a folder begins with, when several domains share the place. */
  readonly prefix: string | undefined;
  readonly classes: readonly string[];
  skip(domain: Domain, index: number, reason: string): void;
  advance(): void;
}

/**
 * Writes corrupted copies of every domain. An image gets the same bytes whatever else is written in the same call.
 * Severities of one array stand one after another, labels repeated, as in CIFAR-10-C.
 *
 * Throws: `io.full`, `io.failed`, `aborted`; `data.invalid` when no image of a domain can be read.
 */
export async function corruptDataset(dataset: Dataset, options: CorruptDatasetOptions): Promise<CorruptedSet> {
  const { domains, classes } = dataset;
  const store = options.store ?? ((await isFile(domains[0]!.pathOf(0))) ? "folders" : "npy");
  const copies = options.corruptions.length * options.severities.length;
  const total = copies * domains.reduce((sum, { samples }) => sum + samples, 0);
  let [images, skipped, files, done] = [0, 0, 0, 0];
  for (const domain of domains) {
    const job: Job = {
      ...options,
      classes,
      prefix: domains.length > 1 ? asFileName(domain.name) : undefined,
      skip(from, index, reason) {
        skipped++;
        done += copies;
        options.onSkipped?.({ domain: from.name, index, path: from.pathOf(index), reason });
      },
      advance: () => options.onProgress?.({ stage: "corrupt", done: ++done, total, note: domain.name }),
    };
    const before = skipped;
    files += await (store === "npy" ? writeArrays(domain, job) : writeFolders(domain, job));
    images += domain.samples - (skipped - before);
  }
  return { images, skipped, files, store };
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

/** Names of domains and classes may hold slashes. */
const asFileName = (name: string): string => name.replaceAll(/[\\/]/g, "-");

/** The readable images of a domain, with turns for the rest of the program in between. */
async function* readImages(domain: Domain, job: Job): AsyncGenerator<{ index: number; image: Image }> {
  for (let index = 0; index < domain.samples; index++) {
    await nextTurn();
    throwIfAborted(job.signal);
    const reading = await domain.read(index);
    if ("unreadable" in reading) job.skip(domain, index, reading.unreadable);
    else yield { index, image: levelsOf(reading.image) };
  }
}

/** Each image, corruption and severity draws from a stream of its own. */
async function corruptOne(
  image: Image,
  index: number,
  name: CorruptionName,
  severity: Severity,
  job: Job,
): Promise<Image> {
  throwIfAborted(job.signal);
  const random = new Random(job.seed).fork(name).fork(severity).fork(index);
  const corrupted = await corrupt(image, name, severity, { random });
  job.advance();
  return corrupted;
}

async function writeArrays(domain: Domain, job: Job): Promise<number> {
  const kept: { readonly index: number; readonly image: Image }[] = [];
  for await (const { index, image } of readImages(domain, job)) {
    const first = kept[0]?.image ?? image;
    const fits = image.width === first.width && image.height === first.height && image.channels === first.channels;
    if (fits) kept.push({ index, image });
    else
      job.skip(domain, index, `${image.width}x${image.height}, but the first image is ${first.width}x${first.height}`);
  }
  if (kept.length === 0) {
    throw new LimberError("data.invalid", `domain "${domain.name}": images that can be read, got none`, {
      domain: domain.name,
    });
  }
  const folder = job.prefix === undefined ? job.folder : join(job.folder, job.prefix);
  await createFolder(folder);
  const { height, width, channels } = kept[0]!.image;
  const sizeBytes = height * width * channels;
  const rows = kept.length * job.severities.length;
  for (const name of job.corruptions) {
    const data = new Uint8Array(rows * sizeBytes);
    let row = 0;
    for (const severity of job.severities) {
      for (const { index, image } of kept) {
        await nextTurn();
        data.set((await corruptOne(image, index, name, severity, job)).data, sizeBytes * row++);
      }
    }
    const bytes = writeNpy({ dtype: "uint8", dims: [rows, height, width, channels], data });
    await writeFileAtomic(join(folder, `${name}.npy`), bytes);
  }
  const labels = Int32Array.from({ length: rows }, (_, row) => domain.label(kept[row % kept.length]!.index));
  await writeFileAtomic(join(folder, "labels.npy"), writeNpy({ dtype: "int32", dims: [rows], data: labels }));
  return job.corruptions.length + 1;
}

async function writeFolders(domain: Domain, job: Job): Promise<number> {
  const taken = new Set<string>();
  let files = 0;
  for await (const { index, image } of readImages(domain, job)) {
    const path = domain.pathOf(index);
    const label = asFileName(job.classes[domain.label(index)]!);
    const plain = join(label, basename(path, extname(path)));
    const name = taken.has(plain) ? `${plain}-${index}` : plain;
    taken.add(name);
    for (const corruption of job.corruptions) {
      for (const severity of job.severities) {
        const set = [...(job.prefix === undefined ? [] : [job.prefix]), corruption, severity].join("-");
        await createFolder(join(job.folder, set, label));
        const corrupted = await corruptOne(image, index, corruption, severity, job);
        await writeFileAtomic(join(job.folder, set, `${name}.png`), await encodeImage(corrupted));
        files++;
      }
    }
  }
  return files;
}
