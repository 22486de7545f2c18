import { describe, expect, it } from "vitest";
import { Random } from "../../base/index.js";
import { drawDirichlet } from "./sampler.js";
import { createStream, parseStream, type StreamOptions } from "./stream.js";
import type { Dataset, Domain } from "./types.js";

/** Samples with labels 0, 1, 2, 0, … and the tag of every fifth being `rare`. */
const domain = (name: string, samples: number): Domain => ({
  name,
  samples,
  label: (index) => index % 3,
  read: async () => ({ unreadable: "not needed here" }),
  pathOf: String,
  tags: (index) => (index % 5 === 0 ? ["rare"] : []),
});
const dataset: Dataset = { name: "test", classes: ["a", "b", "c"], domains: [domain("photo", 30), domain("art", 10)] };

const draw = (options: Partial<StreamOptions>) =>
  [...createStream(dataset, { visits: parseStream("photo"), batchSize: 8, seed: 1, ...options })].map(
    ({ indices, ...step }) => ({ ...step, indices: [...indices] }),
  );
const indicesOf = (options: Partial<StreamOptions>): number[] => draw(options).flatMap(({ indices }) => indices);
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe("parsing a stream", () => {
  it("reads domains, repeats and sizes", () => {
    expect(parseStream("photo, art*2 ,fog/5:100,photo:7*2")).toEqual([
      { domain: "photo" },
      { domain: "art" },
      { domain: "art" },
      { domain: "fog/5", samples: 100 },
      { domain: "photo", samples: 7 },
      { domain: "photo", samples: 7 },
    ]);
  });

  it.each(["", "photo,,art", "photo*0", "photo:0", "photo*x", "*2"])("refuses %j", (text) => {
    expect(() => parseStream(text)).toThrow(/write it like/);
  });
});

describe("streams", () => {
  it("shows every sample of a domain once over its visits, and says where each step belongs", () => {
    const steps = draw({ visits: parseStream("photo,art,photo") });
    expect(steps.map(({ visit, domain: at, indices }) => [visit, at.name, indices.length])).toEqual([
      [0, "photo", 8],
      [0, "photo", 7],
      [1, "art", 8],
      [1, "art", 2],
      [2, "photo", 8],
      [2, "photo", 7],
    ]);
    expect(steps.map(({ step }) => step)).toEqual(range(6));
    const photo = steps.filter(({ domain: at }) => at.name === "photo").flatMap(({ indices }) => indices);
    expect(sorted(photo)).toEqual(range(30));
    expect(photo).not.toEqual(range(30));
  });

  it("keeps the stored order when asked to", () => {
    expect(indicesOf({ order: "file", samplesPerVisit: 35 })).toEqual([...range(30), ...range(5)]);
  });

  it("shows fresh samples first and starts over in another order", () => {
    const all = indicesOf({ visits: parseStream("art:15*2") });
    const rounds = [all.slice(0, 10), all.slice(10, 20), all.slice(20, 30)];
    for (const round of rounds) expect(sorted(round)).toEqual(range(10));
    expect(rounds[0]).not.toEqual(rounds[1]);
  });

  it("is the same for a seed each time, another for another seed, whatever else is visited", () => {
    const stream = createStream(dataset, { visits: parseStream("photo,art"), batchSize: 8, seed: 1 });
    expect([...stream]).toEqual([...stream]);
    expect(stream.steps).toBe([...stream].length);
    expect(indicesOf({ seed: 1 })).not.toEqual(indicesOf({ seed: 2 }));
    expect(indicesOf({ visits: parseStream("art,photo") }).slice(10)).toEqual(indicesOf({}));
  });

  it("draws classes as often as their weights say, in domains that have weights", () => {
    const options = { visits: parseStream("photo:3000,art"), labelShift: { weights: { photo: [3, 1, 0] } } };
    const all = indicesOf(options);
    const counts = [0, 1, 2].map((label) => all.slice(0, 3000).filter((index) => index % 3 === label).length);
    expect(counts[2]).toBe(0);
    expect(Math.abs(counts[0]! - 2250)).toBeLessThan(4 * Math.sqrt(3000 * 0.75 * 0.25));
    expect(sorted(all.slice(3000))).toEqual(range(10));
  });

  it("draws class frequencies for each domain from a Dirichlet distribution", () => {
    const label = (index: number): number => index % 3;
    const shares = (seed: number) => {
      const all = indicesOf({ seed, visits: parseStream("photo:600"), labelShift: { dirichlet: 0.05 } }).map(label);
      return [0, 1, 2].map((c) => all.filter((each) => each === c).length / 600);
    };
    const largest = range(20).map((seed) => Math.max(...shares(seed)));
    expect(largest.reduce((sum, share) => sum + share) / 20).toBeGreaterThan(0.8);
  });

  it("draws tagged samples as often as their weight says, relative to others", () => {
    const weightOf = (weight: number) => (tags: readonly string[]) => (tags.includes("rare") ? weight : 1);
    expect(indicesOf({ subpopulation: weightOf(0), samplesPerVisit: 200 }).some((index) => index % 5 === 0)).toBe(
      false,
    );
    const rare = indicesOf({ subpopulation: weightOf(4), samplesPerVisit: 4000 }).filter(
      (index) => index % 5 === 0,
    ).length;
    expect(Math.abs(rare - 2000)).toBeLessThan(4 * Math.sqrt(4000 / 4)); // 6 samples of weight 4 against 24 of weight 1
  });

  it("weights tags within a class and keeps the class frequencies when both shifts are on", () => {
    const options = {
      labelShift: { weights: { photo: [1, 1, 0] } },
      subpopulation: (tags: readonly string[]) => (tags.includes("rare") ? 4 : 1),
    };
    const all = indicesOf({ ...options, samplesPerVisit: 4000 });
    const share = (keep: (index: number) => boolean): number => all.filter(keep).length / 4000;
    expect(share((index) => index % 3 === 0)).toBeCloseTo(0.5, 1);
    expect(share((index) => index % 3 === 0 && index % 5 === 0)).toBeCloseTo(0.25, 1); // 2 of weight 4 against 8 of weight 1
  });

  it.each<[Partial<StreamOptions>, RegExp]>([
    [{ visits: [] }, /at least one visit/],
    [{ visits: parseStream("sketch") }, /among photo, art expected, got "sketch"/],
    [{ batchSize: 0 }, /batch size/],
    [{ visits: [{ domain: "art", samples: 1.5 }] }, /visit of art.*1\.5/],
    [{ labelShift: { weights: { photo: [1] } } }, /3 weights expected, got 1/],
    [{ labelShift: { weights: { photo: [0, 0, 0] } } }, /weight above 0/],
    [{ labelShift: { weights: { photo: [1, -1, 0] } } }, /got -1/],
    [{ labelShift: { dirichlet: 0 } }, /concentration/],
    [{ subpopulation: () => Number.NaN }, /got NaN/],
  ])("refuses %j", (options, message) => {
    expect(() => draw(options)).toThrow(message);
  });
});

describe("Dirichlet proportions", () => {
  it.each([0.001, 0.3, 1, 20])("have the mean and variance of concentration %d", (concentration) => {
    const [classes, draws] = [4, 4000];
    const random = new Random(5);
    const all = range(draws).map(() => drawDirichlet(random, concentration, classes));
    expect(Math.max(...all.map((parts) => Math.abs(parts.reduce((sum, part) => sum + part) - 1)))).toBeLessThan(1e-10);
    const mean = all.reduce((sum, [first]) => sum + first!, 0) / draws;
    const variance = all.reduce((sum, [first]) => sum + (first! - 1 / classes) ** 2, 0) / draws;
    const expected = ((1 / classes) * (1 - 1 / classes)) / (classes * concentration + 1);
    expect(Math.abs(mean - 1 / classes)).toBeLessThan(4 * Math.sqrt(expected / draws));
    expect(Math.abs(variance / expected - 1)).toBeLessThan(0.12);
  });
});
