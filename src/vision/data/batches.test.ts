import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { encodeImage } from "../image/decode.js";
import type { Reading } from "../image/types.js";
import { parsePreprocessing } from "../preprocess/preprocessing.js";
import { batches, type Batch, type BatchOptions } from "./batches.js";
import { blockDomain } from "./block.js";
import { fileDomain } from "./file-domain.js";
import { plainImage, temporaryFolder, writeFiles } from "../../../test/helpers/vision-files.js";
import { keepFitted } from "./keep-fitted.js";
import { DATASET_LIMITS } from "./readers/reader.js";
import type { Domain } from "./types.js";

const preprocessing = parsePreprocessing({ width: 1, height: 1, color: "GRAY", scale: 1 });
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** A domain of one-pixel images, sample i having level i % 256 and label i % 10; it fails on the samples in `broken`. */
function countingDomain(
  samples: number,
  broken: readonly number[] = [],
  read?: (index: number) => Promise<void>,
): Domain {
  return {
    name: "counting",
    samples,
    label: (index) => index % 10,
    pathOf: (index) => `image ${index}`,
    read: async (index): Promise<Reading> => {
      await read?.(index);
      if (broken.includes(index)) return { unreadable: "broken" };
      return { image: { width: 1, height: 1, channels: 1, data: Uint8Array.of(index % 256) } };
    },
  };
}

async function collect(domain: Domain, options: Partial<BatchOptions> & { batchSize: number }): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches(domain, { preprocessing, ...options })) all.push(batch);
  return all;
}

const view = (all: readonly Batch[]) =>
  all.map(({ indices, skipped }) => [[...indices], skipped.map(({ index }) => index)]);

describe("batches", () => {
  it("yields images, labels and indices in order, the last batch smaller", async () => {
    const all = await collect(countingDomain(5), { batchSize: 2 });
    expect(all.map(({ images }) => [images.dtype, images.dims, [...images.data]])).toEqual([
      ["float32", [2, 1, 1, 1], [0, 1]],
      ["float32", [2, 1, 1, 1], [2, 3]],
      ["float32", [1, 1, 1, 1], [4]],
    ]);
    expect(all.map(({ labels }) => [...labels])).toEqual([[0, 1], [2, 3], [4]]);
  });

  it("follows the indices given, in float64 and channels last if asked", async () => {
    const all = await collect(countingDomain(5), {
      indices: [4, 4, 0],
      batchSize: 2,
      dtype: "float64",
      preprocessing: parsePreprocessing({ width: 1, height: 1, layout: "NHWC", scale: 1 }),
    });
    expect(view(all)).toEqual([
      [[4, 4], []],
      [[0], []],
    ]);
    expect(all[0]!.images).toEqual({ dtype: "float64", dims: [2, 1, 1, 3], data: Float64Array.of(4, 4, 4, 4, 4, 4) });
  });

  it("fills batches from following samples and tells each skipped sample once", async () => {
    expect(view(await collect(countingDomain(8, [1, 2, 5, 7]), { batchSize: 2 }))).toEqual([
      [
        [0, 3],
        [1, 2],
      ],
      [
        [4, 6],
        [5, 7],
      ],
    ]);
    expect((await collect(countingDomain(1, [0]), { batchSize: 2 }))[0]!.skipped).toEqual([
      { domain: "counting", index: 0, path: "image 0", reason: "broken" },
    ]);
  });

  it("yields one empty batch when nothing could be read, and none when nothing was asked for", async () => {
    const [batch, ...others] = await collect(countingDomain(2, [0, 1]), { batchSize: 4 });
    expect(others).toEqual([]);
    expect(batch!.images.dims).toEqual([0, 1, 1, 1]);
    expect(batch!.skipped).toHaveLength(2);
    expect(await collect(countingDomain(3), { batchSize: 2, indices: [] })).toEqual([]);
  });

  it("skips samples that are not finite, with the reason", async () => {
    const block = { count: 3, height: 1, width: 1, channels: 1, data: Float32Array.of(1, NaN, 3) } as const;
    const all = await collect(blockDomain({ name: "floats", labels: [0, 0, 0], path: "x.npy", block }), {
      batchSize: 8,
    });
    expect(view(all)).toEqual([[[0, 2], [1]]]);
    expect(all[0]!.skipped[0]).toEqual({ domain: "floats", index: 1, path: "x.npy[1]", reason: "non-finite" });
  });

  it("gives memory of its own to each batch, or the same to all when asked to reuse it", async () => {
    const own = await collect(countingDomain(4), { batchSize: 2 });
    expect(own[0]!.images.data.buffer).not.toBe(own[1]!.images.data.buffer);
    const reused = await collect(countingDomain(4), { batchSize: 2, reuse: true });
    expect(reused[0]!.images.data.buffer).toBe(reused[1]!.images.data.buffer);
  });

  it("reads the next batch, and no more, while the caller works", async () => {
    const started: number[] = [];
    const stream = batches(
      countingDomain(100, [], async (index) => void started.push(index)),
      { batchSize: 8, preprocessing },
    );
    await stream.next();
    await sleep(5);
    const ahead = started.length;
    expect(ahead).toBeGreaterThanOrEqual(16);
    expect(ahead).toBeLessThanOrEqual(8 + 1 + 8); // the batch, the sample after it, and one batch waiting
    await sleep(5);
    expect(started.length).toBe(ahead);
    await stream.return();
  });

  it("decodes few pictures at a time, whatever the batch size", async () => {
    let [running, most] = [0, 0];
    const read = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await sleep(1);
      running--;
    };
    await collect(countingDomain(40, [], read), { batchSize: 32 });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(6);
  });

  it("refuses a batch size of 0 and indices that the domain does not have", async () => {
    await expect(collect(countingDomain(3), { batchSize: 0 })).rejects.toMatchObject({ code: "config.invalid" });
    for (const index of [3, -1, 0.5]) {
      await expect(collect(countingDomain(3), { batchSize: 1, indices: [0, index] })).rejects.toThrow(`got ${index}`);
    }
  });

  it("stops with a typed error when the signal fires, and reads nothing more", async () => {
    const controller = new AbortController();
    let reads = 0;
    const stream = batches(
      countingDomain(1000, [], async () => {
        reads++;
      }),
      { batchSize: 4, preprocessing, signal: controller.signal },
    );
    await stream.next();
    controller.abort();
    await expect(stream.next()).rejects.toMatchObject({ code: "aborted" });
    const before = reads;
    await sleep(5);
    expect(reads).toBe(before);
  });

  it("passes on a defect of a domain without leaving unhandled rejections", async () => {
    const domain = countingDomain(20, [], async (index) => {
      if (index >= 3) throw new TypeError("defect");
    });
    await expect(collect(domain, { batchSize: 2 })).rejects.toThrow("defect");
    const stream = batches(domain, { batchSize: 2, preprocessing });
    await stream.next();
    await stream.return();
  });
});

describe("an unreadable image among 1,000", () => {
  const folder = temporaryFolder();
  let png: Uint8Array;
  let jpeg: Uint8Array;
  beforeAll(async () => {
    png = await encodeImage(plainImage(4, 4, [9, 9, 9]));
    jpeg = await encodeImage(plainImage(64, 64, [9, 9, 9]), "jpeg");
  });

  it("is skipped, counted and reported with its path and reason; every other image arrives once", async () => {
    const paths = range(1000).map((i) => `${folder}/${i}.png`);
    writeFiles(
      folder,
      Object.fromEntries(range(1000).map((i) => [`${i}.png`, i === 617 ? jpeg.subarray(0, jpeg.length >> 1) : png])),
    );
    const domain = fileDomain({ name: "files", paths, labels: range(1000), limits: DATASET_LIMITS.image });
    const all = await collect(domain, { batchSize: 64, preprocessing: parsePreprocessing({ width: 4, height: 4 }) });
    expect(all.flatMap(({ labels }) => [...labels])).toEqual(range(1000).filter((i) => i !== 617));
    expect(all.flatMap(({ skipped }) => skipped)).toEqual([
      { domain: "files", index: 617, path: paths[617], reason: expect.stringMatching(/\w/) as string },
    ]);
    expect(all.slice(0, -1).every(({ indices }) => indices.length === 64)).toBe(true);
  });
});

describe("keeping fitted images", () => {
  it("reads each image once while there is room, unreadable ones included", async () => {
    const reads: number[] = [];
    const kept = keepFitted(
      countingDomain(4, [2], async (index) => void reads.push(index)),
      preprocessing,
      2,
    );
    const first = await collect(kept, { batchSize: 4 });
    expect(view(await collect(kept, { batchSize: 4 }))).toEqual(view(first));
    expect(view(first)).toEqual([[[0, 1, 3], [2]]]);
    expect(reads).toEqual([0, 1, 2, 3, 3]); // room for two of the three one-byte images
  });
});
