import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLimberError } from "../../base/index.js";
import type { Image } from "../image/types.js";
import { BACKGROUNDS } from "./backgrounds.js";
import { loadDigits, splitOf, SPLITS } from "./digits.js";
import { SOURCE_SCENE, WORLD_DOMAINS } from "./domains.js";
import type { WorldDomain } from "./domains.js";
import type { Scene } from "./scene.js";
import { createWorld, WORLD_SIZES } from "./world.js";

const world = createWorld({ seed: 3 });
const crowded = createWorld({ seed: 3, size: 48, digits: [1, 3] });

const scenesOf = (domain: string, count: number): Scene[] =>
  Array.from({ length: count }, (_, index) => world.scene(domain, "test", index));

/** All of a scene as one string: comparing 3,000 numbers one by one is slow. */
const printOf = ({ image, mask, ...rest }: Scene): string =>
  createHash("sha256").update(image.data).update(mask).update(JSON.stringify(rest)).digest("hex");

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean, deviation within the picture and strength of fine detail, averaged over scenes. Units: grey levels. */
function statisticsOf(domain: string): { mean: number; contrast: number; detail: number; redness: number } {
  const pictures = scenesOf(domain, 60).map(({ image }) => statisticsOfImage(image));
  const average = (pick: (one: (typeof pictures)[number]) => number): number => meanOf(pictures.map(pick));
  return {
    mean: average((one) => one.mean),
    contrast: average((one) => one.contrast),
    detail: average((one) => one.detail),
    redness: average((one) => one.redness),
  };
}

function statisticsOfImage({ data, width }: Image): {
  mean: number;
  contrast: number;
  detail: number;
  redness: number;
} {
  const grey = Array.from(
    { length: data.length / 3 },
    (_, i) => (data[3 * i]! + data[3 * i + 1]! + data[3 * i + 2]!) / 3,
  );
  const mean = meanOf(grey);
  return {
    mean,
    contrast: Math.sqrt(meanOf(grey.map((value) => (value - mean) ** 2))),
    detail: meanOf(grey.slice(1).map((value, i) => ((i + 1) % width === 0 ? 0 : Math.abs(value - grey[i]!)))),
    redness: meanOf(grey.map((_, i) => data[3 * i]! - data[3 * i + 2]!)),
  };
}

/** The boxes recomputed from the mask, for scenes in which every object has its own class. */
function boxesOfMask({ mask, image }: Scene): Map<number, number[]> {
  const boxes = new Map<number, number[]>();
  mask.forEach((value, i) => {
    if (value === 0) return;
    const [x, y] = [i % image.width, Math.floor(i / image.width)];
    const [left = x, top = y, right = x, bottom = y] = boxes.get(value - 1) ?? [];
    boxes.set(value - 1, [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)]);
  });
  return new Map([...boxes].map(([label, [l, t, r, b]]) => [label, [l!, t!, r! - l! + 1, b! - t! + 1]]));
}

describe("embedded world", () => {
  it("starts with the source and names each domain once", () => {
    expect(world.domains[0]).toBe("day");
    expect(new Set(world.domains).size).toBe(WORLD_DOMAINS.length);
    expect(world.domains.length).toBeGreaterThanOrEqual(11);
    expect(world.classes).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
  });

  it("keeps its bytes: pictures, masks and boxes are those of the first release", () => {
    const prints = WORLD_DOMAINS.flatMap(({ name }) =>
      [0, 1, 1999].map((index) => printOf(crowded.scene(name, "test", index))),
    );
    expect(createHash("sha256").update(prints.join()).digest("hex").slice(0, 16)).toMatchInlineSnapshot(
      `"855b2069de86568a"`,
    );
  });

  it("draws a scene the same in any order of asking, from any copy of the world", () => {
    const other = createWorld({ seed: 3 });
    const ask = fc.record({
      domain: fc.constantFrom(...world.domains),
      split: fc.constantFrom(...SPLITS),
      index: fc.integer({ min: 0, max: 100_000 }),
    });
    fc.assert(
      fc.property(ask, ({ domain, split, index }) => {
        expect(printOf(world.scene(domain, split, index))).toBe(printOf(other.scene(domain, split, index)));
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it("draws another scene for another seed, domain, split or index", () => {
    const scenes = [
      world.scene("day", "test", 0),
      createWorld({ seed: 4 }).scene("day", "test", 0),
      world.scene("dusk", "test", 0),
      world.scene("day", "train", 0),
      world.scene("day", "test", 1),
    ];
    expect(new Set(scenes.map(printOf)).size).toBe(scenes.length);
  });

  it.each(SPLITS)("shows %s only its own digits, under their own class", (split) => {
    const objects = Array.from(
      { length: 150 },
      (_, index) => world.scene("subpopulation", split, index).objects,
    ).flat();
    expect(new Set(objects.map(({ digit }) => splitOf(digit)))).toEqual(new Set([split]));
    expect(objects.map(({ label }) => label)).toEqual(objects.map(({ digit }) => loadDigits().labels[digit]));
  });

  it.each(WORLD_SIZES)("renders every domain at %i pixels with one well-placed digit", (size) => {
    const sized = createWorld({ seed: 1, size });
    for (const domain of sized.domains) {
      const { image, mask, objects, label, tags } = sized.scene(domain, "train", 5);
      expect([image.width, image.height, image.channels, image.data.length]).toEqual([size, size, 3, size * size * 3]);
      expect(mask.length).toBe(size * size);
      expect(objects.map((object) => object.label)).toEqual([label]);
      expect(tags.map((tag) => tag.split("=")[0])).toEqual(["background", "family", "stroke"]);
      const [x, y, width, height] = objects[0]!.box;
      expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
      expect(Math.max(x + width, y + height)).toBeLessThanOrEqual(size);
      expect(Math.max(width, height)).toBeGreaterThan(0.35 * size);
    }
  });

  it("bounds the mask of every object exactly by its box, and marks it with its class + 1", () => {
    let crowds = 0;
    for (const domain of crowded.domains) {
      for (let index = 0; index < 15; index++) {
        const scene = crowded.scene(domain, "validation", index);
        const labels = scene.objects.map(({ label }) => label);
        if (new Set(labels).size < labels.length) continue;
        if (labels.length > 1) crowds++;
        expect(boxesOfMask(scene)).toEqual(new Map(scene.objects.map(({ label, box }) => [label, [...box]])));
      }
    }
    expect(crowds).toBeGreaterThan(50);
  });

  it("keeps boxes apart and puts one to three digits into a crowded scene", () => {
    const counts = new Set<number>();
    for (let index = 0; index < 100; index++) {
      const boxes = crowded.scene("day", "train", index).objects.map(({ box }) => box);
      counts.add(boxes.length);
      boxes.forEach(([x, y, w, h], i) => {
        for (const [x2, y2, w2, h2] of boxes.slice(i + 1)) {
          expect(x + w <= x2 || x2 + w2 <= x || y + h <= y2 || y2 + h2 <= y).toBe(true);
        }
      });
    }
    expect([...counts].sort()).toEqual([1, 2, 3]);
  });

  it("makes digits stand out from their ground by day", () => {
    const differences = scenesOf("day", 50).map(({ image, mask }) => {
      const grey = Array.from(
        mask,
        (_, i) => 0.299 * image.data[3 * i]! + 0.587 * image.data[3 * i + 1]! + 0.114 * image.data[3 * i + 2]!,
      );
      const part = (inside: boolean): number => meanOf(grey.filter((_, i) => mask[i]! > 0 === inside));
      return Math.abs(part(true) - part(false));
    });
    expect(meanOf(differences)).toBeGreaterThan(45);
  });
});

describe("domains of the embedded world", () => {
  const day = statisticsOf("day");

  it("night is far darker than day, dusk between them and redder", () => {
    const [dusk, night] = [statisticsOf("dusk"), statisticsOf("night")];
    expect(dusk.mean).toBeLessThan(0.8 * day.mean);
    expect(night.mean).toBeLessThan(0.8 * dusk.mean);
    expect(dusk.redness).toBeGreaterThan(day.redness + 10);
    expect(night.redness).toBeLessThan(dusk.redness);
  });

  it("fog and a dirty lens lower contrast, fog brightens", () => {
    const fog = statisticsOf("fog");
    expect(fog.contrast).toBeLessThan(0.7 * day.contrast);
    expect(fog.mean).toBeGreaterThan(day.mean + 20);
    expect(statisticsOf("low-contrast").contrast).toBeLessThan(0.5 * day.contrast);
  });

  it("blur removes detail; noise, snow and rain add it", () => {
    expect(statisticsOf("blur").detail).toBeLessThan(0.6 * day.detail);
    for (const domain of ["sensor-noise", "square-snow", "rain"]) {
      expect(statisticsOf(domain).detail, domain).toBeGreaterThan(1.3 * day.detail);
    }
  });

  it("glare brightens", () => {
    expect(statisticsOf("glare").mean).toBeGreaterThan(day.mean + 20);
  });

  it("new-background shows no ground of the source", () => {
    const source = new Set<string>(SOURCE_SCENE.backgrounds.map((name) => `background=${name}`));
    const seen = new Set(scenesOf("new-background", 60).map(({ tags }) => tags[0]!));
    for (const tag of seen) expect(source.has(tag)).toBe(false);
    expect(seen.size + source.size).toBe(Object.keys(BACKGROUNDS).length);
  });

  it("subpopulation follows its label weights and shows only its own strokes and colours", () => {
    const weights = WORLD_DOMAINS.find(({ name }) => name === "subpopulation")!.scene.labelWeights!;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const [domain] = world.dataset("train", 4000, ["subpopulation"]).domains;
    const counts = weights.map(() => 0);
    for (let index = 0; index < 4000; index++) counts[domain!.label(index)]!++;
    counts.forEach((count, label) => {
      const share = weights[label]! / total;
      // Four standard errors of a share of 4000.
      expect(Math.abs(count / 4000 - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / 4000));
    });
    const tags = new Set(scenesOf("subpopulation", 50).flatMap((scene) => scene.tags.slice(1)));
    expect([...tags].sort()).toEqual(["family=violet", "stroke=thin"]);
  });

  it("never draws a class of weight 0", () => {
    const only: WorldDomain = {
      name: "sevens",
      summary: "",
      scene: { labelWeights: [0, 0, 0, 0, 0, 0, 0, 1, 0, 0] },
      effects: [],
    };
    const sevens = createWorld({ domains: [only] });
    for (let index = 0; index < 50; index++) expect(sevens.scene("sevens", "train", index).label).toBe(7);
  });
});

describe("embedded world as a data set", () => {
  it("answers label, tags and picture of the scene at each index", async () => {
    const dataset = world.dataset("test", 12, ["day", "subpopulation"]);
    expect(dataset.domains.map(({ name, samples }) => [name, samples])).toEqual([
      ["day", 12],
      ["subpopulation", 12],
    ]);
    for (const domain of dataset.domains) {
      for (let index = 0; index < 12; index++) {
        const scene = world.scene(domain.name, "test", index);
        expect(domain.label(index)).toBe(scene.label);
        expect(domain.tags!(index)).toEqual(scene.tags);
        const reading = await domain.read(index);
        expect("image" in reading && Buffer.from(reading.image.data.buffer).equals(scene.image.data)).toBe(true);
      }
    }
  });

  it("refuses unknown domains, splits, sizes, seeds and counts with what would do", () => {
    const refusals: [() => unknown, RegExp][] = [
      [() => world.scene("dawn", "test", 0), /one of day, .*got "dawn"/],
      [() => world.scene("day", "holdout" as "test", 0), /one of train, validation, test, got "holdout"/],
      [() => world.dataset("test", 0), /above 0, got 0/],
      [() => createWorld({ size: 33 as 32 }), /one of 32, 48, 64, 96, got 33/],
      [() => createWorld({ seed: 1.5 }), /whole number, got 1.5/],
      [() => createWorld({ digits: [2, 4] }), /within 1 to 3, got \[2,4\]/],
    ];
    for (const [work, message] of refusals) {
      expect(work).toThrow(message);
      try {
        work();
      } catch (error) {
        expect(isLimberError(error, "config.invalid")).toBe(true);
      }
    }
  });
});
