import { describe, expect, test } from "vitest";
import {
  type ElasticRow,
  elasticRow,
  flattenElastic,
  type Kind,
  secondsTo,
  summarizeContestants,
  summarizeElastic,
} from "./rows.js";

const row = (contestant: string, kind: Kind, position: number, fields: Partial<ElasticRow> = {}): ElasticRow => ({
  ...{ run: "r", setting: { learningRate: 1e-3 }, peakBytes: 100 + position, curve: [] },
  ...{ contestant, kind, method: "tent", seed: 0, position, domain: ["fog", "rain"][position % 2]! },
  ...{ round: Math.floor(position / 2), images: 8, testImages: 8, beforeAccuracy: null, onlineAccuracy: 0.5 },
  ...{ afterAccuracy: 0.5, adaptSeconds: 1, steps: 4, generationSeconds: 0, wallSeconds: 2, macs: 9, sizeBytes: 4 },
  ...{ refused: 0, collapses: 0, ...fields },
});
const accuracies = (contestant: string, kind: Kind, values: readonly number[], fields: Partial<ElasticRow> = {}) =>
  values.map((afterAccuracy, position) => row(contestant, kind, position, { ...fields, afterAccuracy }));

const ROWS = [
  ...accuracies("source", "source", [0.5, 0.7, 0.5, 0.6]),
  ...accuracies("elastic", "elastic", [0.6, 0.6, 0.8, 0.6], { beforeAccuracy: 0.4, adaptSeconds: 0.5 }),
  ...accuracies("small, tent", "same-size", [0.5, 0.5, 0.5, 0.7]),
  ...accuracies("small, bn", "same-size", [0.3, 0.3, 0.3, 0.3], { method: "bn" }),
  ...accuracies("large, tent", "large", [0.9, 0.9, 0.9, 0.9], { adaptSeconds: 3 }),
  ...accuracies("large, bn", "large", [0.9, 0.9, 0.9, 0.9], { adaptSeconds: 100, method: "bn" }),
  ...accuracies("filters-random", "ablation", [0.5, 0.5]),
];

describe("summarizeElastic", () => {
  const { headline, notes } = summarizeElastic(ROWS);

  test("counts gains over all and over the best of the same size, and the worst domain beside the source", () => {
    expect(headline.gainPoints).toBeCloseTo((10 + 35) / 2);
    expect(headline.gainOverBestSameSizePoints).toBeCloseTo(10);
    expect(headline.worstVsSourcePoints).toBeCloseTo(-5);
    expect(notes).toMatchObject({ bestSameSize: "small, tent", worstDomain: "rain" });
    expect(headline.seeds).toBe(1);
  });

  test("compares times with the same method on the large network, and with the best of the same size where ours gets there", () => {
    expect(headline.timeRatioLarge).toBeCloseTo(6);
    expect([notes.reached, notes.stays]).toEqual([3, 4]);
    // Half of 0.5 s, twice; then a quarter of it: one step.
    expect(headline.timeToAccuracyRatio).toBeCloseTo(3 / (0.25 + 0.25 + 0.125));
  });

  test("has no figure where there is nobody to compare with", () => {
    expect(summarizeElastic([]).headline).toEqual({
      ...{ gainPoints: null, gainOverBestSameSizePoints: null, timeRatioLarge: null, timeToAccuracyRatio: null },
      ...{ worstVsSourcePoints: null, seeds: 0 },
    });
  });
});

describe("summarizeContestants", () => {
  const figures = summarizeContestants(ROWS);

  test("compares over the stays that both have", () => {
    const gains = Object.fromEntries(figures.map((each) => [each.contestant, each.elasticGainPoints]));
    expect(gains["filters-random"]).toBeCloseTo(10);
    expect(gains.elastic).toBeNull();
  });

  test("takes the largest memory of all stays", () => {
    expect(figures.map(({ peakBytes }) => peakBytes)).toEqual([103, 103, 103, 103, 103, 103, 101]);
  });

  test("counts what is lost when a domain comes again, and what is gained as negative", () => {
    const forgetting = Object.fromEntries(figures.map((each) => [each.contestant, each.forgetting]));
    expect(forgetting.elastic).toBeCloseTo((-0.2 + 0) / 2);
    expect(forgetting["filters-random"]).toBeNull();
  });
});

test("secondsTo charges at least one step, and is undefined where an accuracy is never reached", () => {
  const ours = row("elastic", "elastic", 0, { beforeAccuracy: 0.4, afterAccuracy: 0.8, adaptSeconds: 2, steps: 4 });
  expect(secondsTo(0.6, ours)).toBeCloseTo(1);
  expect(secondsTo(0.3, ours)).toBe(0.5);
  expect(secondsTo(0.81, ours)).toBeUndefined();
});

test("secondsTo reads the time off the measured curve where there is one", () => {
  const curve = [
    { step: 1, adaptSeconds: 0.5, accuracy: 0.7 },
    { step: 2, adaptSeconds: 1, accuracy: 0.65 },
  ];
  const ours = row("elastic", "elastic", 0, {
    beforeAccuracy: 0.4,
    afterAccuracy: 0.8,
    adaptSeconds: 2,
    steps: 4,
    curve,
  });
  expect(secondsTo(0.6, ours)).toBe(0.5);
  expect(secondsTo(0.75, ours)).toBe(2);
  expect(secondsTo(0.9, ours)).toBeUndefined();
  // Reached on the way, lost again in the end.
  expect(secondsTo(0.7, { ...ours, afterAccuracy: 0.5 })).toBe(0.5);
});

test("a row survives its file, and is flat in a table", () => {
  const curve = [{ step: 1, adaptSeconds: 1, accuracy: 0.5 }];
  const one = row("elastic", "elastic", 0, { curve, setting: { learningRate: 3e-4, continual: true } });
  expect(elasticRow.parse(JSON.parse(JSON.stringify(one)))).toEqual(one);
  expect(elasticRow.safeParse({ ...one, afterAccuracy: 1.5 }).success).toBe(false);
  const flat = flattenElastic(one);
  expect(flat).toMatchObject({ beforeAccuracy: "", learningRate: 3e-4, continual: true, curve: 1 });
  expect(Object.values(flat).filter((value) => typeof value === "object")).toEqual([]);
  const stored = elasticRow.parse(row("source", "source", 0, { setting: {} }));
  expect(Object.keys(flattenElastic(stored))).toEqual(Object.keys(flat));
});
