import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LimberError, Random } from "../../base/index.js";
import { corruptDomain } from "../corrupt/index.js";
import { fitImage, fitTruth, unfitTruth } from "../preprocess/fit.js";
import { parsePreprocessing } from "../preprocess/preprocessing.js";
import { createWorld } from "../world/index.js";
import { batches } from "./batches.js";
import { joinDomains, selectSamples } from "./block.js";
import { keepFitted } from "./keep-fitted.js";
import { createStream, visitDomains } from "./stream.js";
import { IGNORED, type Mask, type Truth } from "./truth.js";
import type { Domain } from "./types.js";

const random = new Random(4);
const noise = (width: number, height: number): Mask => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height }, () => random.int(0, 12)),
});

const side = fc.integer({ min: 1, max: 40 });
const frames = fc.record({
  width: side,
  height: side,
  resize: fc.constantFrom("stretch" as const, "shortest" as const),
  cropRatio: fc.constantFrom(0.7, 0.875, 1),
});

describe("fitting what a picture shows", () => {
  it("takes the pixels of a mask from where those of the picture come from", async () => {
    await fc.assert(
      fc.asyncProperty(frames, side, side, async (frame, width, height) => {
        const preprocessing = parsePreprocessing({ ...frame, color: "GRAY", interpolation: "nearest" });
        const mask = noise(width, height);
        const fitted = await fitImage({ ...mask, channels: 1 }, preprocessing);
        if ("unreadable" in fitted) throw new Error(fitted.unreadable);
        expect(fitTruth({ mask }, mask, preprocessing).mask!.data).toEqual(fitted.image.data);
      }),
      { seed: 5, numRuns: 30 },
    );
  });

  it("puts a box around the same pixels as before, or leaves it out where none stay", () => {
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 0, max: 59 }), { minLength: 4, maxLength: 4 }), (frame, at) => {
        const preprocessing = parsePreprocessing(frame);
        const image = { width: 60, height: 60 };
        const [left, right] = [Math.min(at[0]!, at[1]!), Math.max(at[0]!, at[1]!) + 1];
        const [top, bottom] = [Math.min(at[2]!, at[3]!), Math.max(at[2]!, at[3]!) + 1];
        const inside = (i: number): boolean =>
          i % 60 >= left && i % 60 < right && Math.floor(i / 60) >= top && Math.floor(i / 60) < bottom;
        const mask: Mask = { ...image, data: Uint8Array.from({ length: 3600 }, (_, i) => Number(inside(i))) };
        const box = { label: 3, corners: [left, top, right, bottom], crowd: true } as const;
        const fitted = fitTruth({ boxes: [box], mask }, image, preprocessing);
        const marked = [...fitted.mask!.data].flatMap((value, i) => (value === 1 ? [i] : []));
        const [found] = fitted.boxes!;
        if (found === undefined) {
          expect(marked).toEqual([]);
          return;
        }
        expect(found).toMatchObject({ label: 3, crowd: true });
        const { width } = fitted.mask!;
        // a pixel is marked when its centre is inside
        const [x0, y0, x1, y1] = found.corners;
        const strays = marked.filter((i) => {
          const [x, y] = [(i % width) + 0.5, Math.floor(i / width) + 0.5];
          return x < x0 - 0.01 || x > x1 + 0.01 || y < y0 - 0.01 || y > y1 + 0.01;
        });
        expect(strays).toEqual([]);
        expect(found.corners[2]).toBeLessThanOrEqual(preprocessing.width);
        expect(found.corners[3]).toBeLessThanOrEqual(preprocessing.height);
      }),
      { seed: 6, numRuns: 30 },
    );
  });

  it("cuts at the border and drops what lies outside of the picture", () => {
    const preprocessing = parsePreprocessing({ width: 10, height: 10 });
    const boxes = [
      { label: 0, corners: [-5, 15, 10, 30] },
      { label: 1, corners: [20, 0, 25, 5] },
      { label: 2, corners: [4, 4, 4, 9] },
    ] as const;
    expect(fitTruth({ boxes }, { width: 20, height: 20 }, preprocessing)).toEqual({
      boxes: [{ label: 0, corners: [0, 7.5, 5, 10] }],
    });
  });
});

describe("truth moved back into the pixels of a picture", () => {
  it("lies where it was found once it is fitted again", () => {
    fc.assert(
      fc.property(frames, side, side, (frame, width, height) => {
        const preprocessing = parsePreprocessing(frame);
        const corners = [0, 0, preprocessing.width, preprocessing.height / 2] as const;
        const moved = unfitTruth({ boxes: [{ label: 2, corners }] }, { width, height }, preprocessing);
        const [again] = fitTruth(moved, { width, height }, preprocessing).boxes!;
        expect(again!.label).toBe(2);
        again!.corners.forEach((value, i) => expect(value).toBeCloseTo(corners[i]!, 6));
      }),
      { seed: 7, numRuns: 30 },
    );
  });

  it("makes each pixel of a small mask a block, and leaves what the model did not see to no class", () => {
    const mask: Mask = { width: 2, height: 1, data: Uint8Array.of(3, 4) };
    const stretched = parsePreprocessing({ width: 4, height: 2, resize: "stretch" });
    expect(unfitTruth({ mask }, { width: 4, height: 2 }, stretched).mask).toEqual({
      ...{ width: 4, height: 2 },
      data: Uint8Array.of(3, 3, 4, 4, 3, 3, 4, 4),
    });
    const centre = parsePreprocessing({ width: 2, height: 2, resize: "shortest", cropRatio: 1 });
    expect([...unfitTruth({ mask }, { width: 4, height: 2 }, centre).mask!.data]).toEqual([
      ...[IGNORED, 3, 4, IGNORED],
      ...[IGNORED, 3, 4, IGNORED],
    ]);
  });
});

/** Pictures of 4 × 2, each with a box and a mask of its number; label files of the samples in `broken` cannot be read. */
const labelled = (samples: number, broken: readonly number[] = []): Domain => ({
  name: "labelled",
  samples,
  label: () => -1,
  pathOf: (index) => `picture ${index}`,
  read: (index) =>
    Promise.resolve({ image: { width: 4, height: 2, channels: 1, data: new Uint8Array(8).fill(index) } }),
  tags: (index) => [`parity=${index % 2}`],
  truth: (index): Promise<Truth> =>
    broken.includes(index)
      ? Promise.reject(new LimberError("data.invalid", `labels of ${index}: broken`))
      : Promise.resolve({
          boxes: [{ label: index, corners: [0, 0, 2, 2] }],
          mask: { width: 4, height: 2, data: new Uint8Array(8).fill(index) },
        }),
});
const withoutTruth = (domain: Domain): Domain => {
  const { name, samples } = domain;
  return { name, samples, label: domain.label, pathOf: domain.pathOf, read: domain.read };
};
const preprocessing = parsePreprocessing({ width: 2, height: 2, color: "GRAY" });

/** Label of the box and value of the mask of each sample, in order; both are the number of the sample. */
async function numbersOf(domain: Domain): Promise<(readonly [number, number, number])[]> {
  const found = [];
  for await (const { images, truths } of batches(domain, { preprocessing, batchSize: 2, truth: true }))
    for (const [i, { boxes, mask }] of truths!.entries()) {
      expect(boxes![0]!.corners).toEqual([0, 0, 1, 2]);
      found.push([Math.round(images.data[4 * i]! * 255), boxes![0]!.label, mask!.data[3]!] as const);
    }
  return found;
}
const three = (...numbers: number[]) => numbers.map((n) => [n, n, n] as const);

describe("truth in batches", () => {
  it("comes in the frame of the model's input where it is asked for", async () => {
    expect(await numbersOf(labelled(5))).toEqual(three(0, 1, 2, 3, 4));
    for await (const batch of batches(labelled(2), { preprocessing, batchSize: 2 }))
      expect(batch).not.toHaveProperty("truths");
    const bare = withoutTruth(labelled(2));
    for await (const batch of batches(bare, { preprocessing, batchSize: 2, truth: true }))
      expect(batch).not.toHaveProperty("truths");
  });

  it("skips a sample whose labels are broken or of another size, with the reason, only where truth is asked for", async () => {
    const domain = labelled(3, [1]);
    const small = {
      ...domain,
      truth: () => Promise.resolve({ mask: { width: 1, height: 1, data: new Uint8Array(1) } }),
    };
    const skipped = async (from: Domain, truth: boolean): Promise<string[]> => {
      const reasons = [];
      for await (const batch of batches(from, { preprocessing, batchSize: 4, truth }))
        reasons.push(...batch.skipped.map(({ index, reason }) => `${index}: ${reason}`));
      return reasons;
    };
    expect(await skipped(domain, true)).toEqual(["1: labels of 1: broken"]);
    expect(await skipped(domain, false)).toEqual([]);
    expect(await skipped(small, true)).toHaveLength(3);
    expect((await skipped(small, true))[0]).toMatch(/4x2 pixels, as its picture, expected, got 1x1/);
  });

  it("goes along with samples that are selected, joined, corrupted, kept or laid out as a stream", async () => {
    const domain = labelled(4);
    expect(await numbersOf(selectSamples(domain, [3, 1]))).toEqual(three(3, 1));
    expect(await numbersOf(joinDomains("both", [selectSamples(domain, [2]), domain]))).toEqual(three(2, 0, 1, 2, 3));
    const [visit] = visitDomains(
      createStream(
        { name: "", classes: [], domains: [domain] },
        { visits: [{ domain: "labelled" }], batchSize: 2, seed: 1, order: "file" },
      ),
    );
    expect(await numbersOf(visit!)).toEqual(three(0, 1, 2, 3));
    const noisy = await numbersOf(corruptDomain(domain, "gaussian_noise", { severity: 1 }));
    expect(noisy.map(([, box, mask]) => [box, mask])).toEqual([
      [0, 0],
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    const kept = keepFitted(domain, preprocessing);
    for (let pass = 0; pass < 2; pass++) expect(await numbersOf(kept)).toEqual(three(0, 1, 2, 3));
    const bare = withoutTruth(domain);
    expect(selectSamples(bare, [0])).not.toHaveProperty("truth");
    expect(keepFitted(bare, preprocessing)).not.toHaveProperty("truth");
    const half = joinDomains("half", [bare, domain]);
    expect(await half.truth!(0)).toEqual({});
  });

  it("is fitted once, and not again when the domain keeps it", async () => {
    let asked = 0;
    const domain = labelled(2);
    const counting: Domain = { ...domain, truth: (index) => (asked++, domain.truth!(index)) };
    const kept = keepFitted(counting, preprocessing);
    for (let pass = 0; pass < 3; pass++) await numbersOf(kept);
    expect(asked).toBe(2);
    const unreadable = keepFitted({ ...domain, read: () => Promise.resolve({ unreadable: "torn" }) }, preprocessing);
    await expect(unreadable.truth!(0)).rejects.toMatchObject({ code: "data.invalid", message: /torn/ });
  });
});

describe("truth of the embedded world", () => {
  it("has a box around the mask of each digit, on ground 0", async () => {
    const world = createWorld({ size: 48, digits: [1, 3] });
    const { domains, maskClasses } = world.dataset("test", 5, ["fog"]);
    expect(maskClasses).toHaveLength(11);
    for (let index = 0; index < 5; index++) {
      const { boxes, mask } = await domains[0]!.truth!(index);
      expect(boxes![0]!.label).toBe(domains[0]!.label(index));
      const unboxed = Uint8Array.from(mask!.data);
      for (const { label, corners } of boxes!) {
        const [left, top, right, bottom] = corners;
        const values = new Set<number>();
        for (let y = top; y < bottom; y++) {
          for (const value of unboxed.subarray(48 * y + left, 48 * y + right)) values.add(value);
          unboxed.fill(0, 48 * y + left, 48 * y + right);
        }
        expect([...values].sort((a, b) => a - b)).toEqual([0, label + 1]);
      }
      expect(unboxed.some((value) => value > 0)).toBe(false);
    }
  });
});
