import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parsePreprocessing, type PartialPreprocessing } from "../preprocess/preprocessing.js";
import { batches } from "./batches.js";
import { readDataset } from "./read-dataset.js";
import type { ReadDatasetOptions } from "./readers/reader.js";
import type { Dataset } from "./types.js";

const data = process.env.LIMBER_DATA ?? "";
const open = (path: string, options?: ReadDatasetOptions): Promise<Dataset> => readDataset(join(data, path), options);
const counts = ({ domains }: Dataset): Record<string, number> =>
  Object.fromEntries(domains.map(({ name, samples }) => [name, samples]));

/** Reads the first images of every domain and returns how many could be read. */
async function readSome(dataset: Dataset, fields: PartialPreprocessing, each: number): Promise<number> {
  let read = 0;
  const indices = Array.from({ length: each }, (_, i) => i);
  for (const domain of dataset.domains) {
    for await (const { labels, skipped } of batches(domain, {
      batchSize: each,
      indices,
      preprocessing: parsePreprocessing(fields),
    })) {
      expect(skipped).toEqual([]);
      read += labels.length;
    }
  }
  return read;
}

describe.runIf(data)("real data sets (with LIMBER_DATA)", () => {
  it("reads cifar10c_lossless: 16 domains of 400 images with shared labels", async () => {
    const dataset = await open("cifar10c_lossless");
    expect(Object.values(counts(dataset))).toEqual(Array(16).fill(400));
    expect(dataset.classes).toHaveLength(10);
    expect(await readSome(dataset, { width: 32, height: 32, preset: "cifar" }, 400)).toBe(6400);
  });

  it("reads the archives of CIFAR images", async () => {
    expect(counts(await open("cifar10c_lossless/train_2000.npz"))).toEqual({ train_2000: 2000 });
    expect(counts(await open("golden_tta/images.npz"))).toEqual({ images: 320 });
  });

  it("reads the records of cifar10/dev with class names from the folder above", async () => {
    const dataset = await open("cifar10/dev");
    expect(counts(dataset)).toEqual({ test_dev: 2500, train_dev: 4000 });
    expect(dataset.classes.slice(0, 3)).toEqual(["airplane", "automobile", "bird"]);
    const test = dataset.domains[0]!;
    const perClass = dataset.classes.map(
      (_, c) => Array.from({ length: 2500 }, (_, i) => test.label(i)).filter((label) => label === c).length,
    );
    expect(perClass.every((count) => count > 0)).toBe(true);
    expect(await readSome(dataset, { width: 32, height: 32 }, 100)).toBe(200);
  });

  it("reads pacs/dev: four domains of seven classes, pictures decoded and resized", async () => {
    const dataset = await open("pacs/dev", { domains: ["photo", "art_painting", "cartoon", "sketch"] });
    expect(counts(dataset)).toEqual({ photo: 420, art_painting: 420, cartoon: 420, sketch: 404 });
    expect(dataset.classes).toEqual(["dog", "elephant", "giraffe", "guitar", "horse", "house", "person"]);
    expect(await readSome(dataset, { width: 128, height: 128, preset: "tensorflow" }, 8)).toBe(32);
  });

  it("reads digits/dev, grey and colour records side by side", async () => {
    const dataset = await open("digits/dev", { record: ["1x28x28", "3x32x32"] });
    expect(counts(dataset)).toEqual({
      mnist_cazala_28: 10_000,
      mnist_t10k_first5000_28: 5000,
      mnistm_first2000_32: 2000,
      usps_train_28: 7291,
    });
    expect(dataset.classes).toHaveLength(10);
    expect(await readSome(dataset, { width: 32, height: 32 }, 8)).toBe(32);
  });

  it("reads the records of vww once their size is given, and proposes it when not", async () => {
    const dataset = await open("vww/person_96.bin", { record: ["3x96x96"] });
    expect(counts(dataset)).toEqual({ person_96: 128 });
    expect(dataset.classes).toEqual(["0", "1"]);
    await expect(open("vww")).rejects.toThrow(/128 of 3x96x96/);
  });
});
