import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import {
  Aetta,
  agreementOfLabels,
  averageConfidence,
  countsOfMarginal,
  differenceOfConfidences,
  fitThreshold,
  importanceWeighted,
  largestOf,
  negentropyOf,
  optimalTransport,
  ResetRule,
  shareAbove,
  thresholdOfShare,
  type ThresholdRule,
  transportLabels,
  transportScores,
} from "./index.js";

type Thresholds = Record<Exclude<ThresholdRule, "exact">, number>;
interface Fixture {
  readonly cases: readonly {
    readonly source: number[][];
    readonly labels: number[];
    readonly target: number[][];
    readonly ac: number;
    readonly doc: number;
    readonly im: number;
    readonly cot: number;
    readonly thresholds: { readonly largest: Thresholds; readonly negentropy: Thresholds };
    readonly cott: { readonly threshold: number; readonly accuracy: number };
  }[];
  readonly aetta: { readonly batches: { labels: number[]; passes: number[][][] }[]; readonly accuracies: number[] };
  readonly resets: { readonly accuracies: number[]; readonly steps: number[] };
}

const path = new URL("../../test/fixtures/drift/estimators.json", import.meta.url);
const fixture = JSON.parse(readFileSync(path, "utf8")) as Fixture;
const argmax = (row: readonly number[]): number => row.indexOf(Math.max(...row));
const countsOf = (labels: readonly number[], classes: number): number[] =>
  Array.from({ length: classes }, (_, k) => labels.filter((label) => label === k).length);

describe.each(fixture.cases.map((each, i) => [i, each] as const))("official values, case %i", (_, each) => {
  const correct = each.source.map((row, i) => argmax(row) === each.labels[i]);
  const accuracy = correct.filter(Boolean).length / correct.length;
  const counts = countsOf(each.labels, each.source[0]!.length);

  test("of average confidence, its difference and importance weights", () => {
    const [source, target] = [largestOf(each.source), largestOf(each.target)];
    expect(averageConfidence(target)).toBeCloseTo(each.ac, 12);
    expect(differenceOfConfidences(accuracy, source, target)).toBeCloseTo(each.doc, 12);
    expect(importanceWeighted(source, correct, target)).toBeCloseTo(each.im, 12);
  });

  test.each(["atc-code", "cot-code"] as const)("of both thresholds by %s", (rule) => {
    expect(fitThreshold(largestOf(each.source), correct, rule)).toBe(each.thresholds.largest[rule]);
    const scores = negentropyOf(each.source);
    const threshold = fitThreshold(scores, correct, rule);
    expect(threshold).toBeCloseTo(each.thresholds.negentropy[rule], 12);
    expect(shareAbove(scores, threshold)).toBeCloseTo(accuracy + 1 / correct.length, 12);
    expect(shareAbove(scores, fitThreshold(scores, correct))).toBeCloseTo(accuracy, 12);
  });

  test("of optimal transport, to 1e-9", () => {
    // as many samples of source and target, so that the same labels are moved to either
    expect(Math.abs(optimalTransport(each.target, counts) - each.cot)).toBeLessThan(1e-9);
    const threshold = fitThreshold(transportScores(each.source, counts), correct, "cot-code");
    expect(Math.abs(threshold - each.cott.threshold)).toBeLessThan(1e-9);
    expect(shareAbove(transportScores(each.target, counts), threshold - 1e-12)).toBe(each.cott.accuracy);
  });
});

test("AETTA follows the disagreement of dropout passes as its authors' formula does", () => {
  const aetta = new Aetta();
  const found = fixture.aetta.batches.map(({ labels, passes }) => aetta.observe(labels, passes));
  found.forEach((accuracy, i) => expect(accuracy).toBeCloseTo(fixture.aetta.accuracies[i]!, 12));
  expect(() => aetta.observe([0], [])).toThrow(/passes/);
});

test("AETTA believes passes that never disagree", () => {
  expect(new Aetta().observe([0, 0], [[Float64Array.of(1, 0), Float64Array.of(1, 0)]])).toBe(1);
});

test("the reset rule resets after the batches at which its authors' code does", () => {
  const rule = new ResetRule();
  const resets = fixture.resets.accuracies.flatMap((accuracy, step) => (rule.observe(accuracy / 100) ? [step] : []));
  expect(resets).toEqual(fixture.resets.steps);
});

describe("thresholds", () => {
  test("without an error are those that each code falls back to", () => {
    const [scores, correct] = [
      [0.9, 0.6],
      [true, true],
    ] as const;
    expect(fitThreshold(scores, correct, "atc-code")).toBe(0);
    expect(fitThreshold(scores, correct, "cot-code")).toBe(0.9);
    expect(fitThreshold(scores, correct)).toBe(0.6);
  });

  test("give an accuracy of 0 where all are errors", () => {
    expect(shareAbove([0.9, 0.6], fitThreshold([0.9, 0.6], [false, false]))).toBe(0);
  });

  test("of a share have that share of all things above them, with or without a score", () => {
    const scores = [0.1, 0.5, 0.7, 0.9];
    expect(shareAbove(scores, thresholdOfShare(scores, 0.5))).toBe(0.5);
    expect(shareAbove(scores, thresholdOfShare(scores, 0.2, 10), 10)).toBe(0.2);
    expect(thresholdOfShare(scores, 0)).toBe(Infinity);
  });
});

describe("optimal transport", () => {
  const draw = (random: Random, samples: number, classes: number): Float64Array[] =>
    Array.from({ length: samples }, () => {
      const powers = Float64Array.from({ length: classes }, () => Math.exp(2 * random.normal()));
      const sum = powers.reduce((a, b) => a + b, 0);
      return powers.map((p) => p / sum);
    });

  test("is no dearer than any order of the labels", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 4 }), (seed, classes) => {
        const random = new Random(seed);
        const rows = draw(random, 6, classes);
        const labels = rows.map(() => random.int(0, classes));
        const { labels: given, costs } = transportLabels(rows, countsOf(labels, classes));
        expect([...given].sort()).toEqual([...labels].sort());
        const cost = (order: readonly number[]): number =>
          order.reduce((sum, label, i) => sum + (1 - rows[i]![label]! + 1 - rows[i]![label]!) / 2, 0);
        const best = Math.min(...permutations(labels).map(cost));
        expect(costs.reduce((a, b) => a + b, 0)).toBeCloseTo(best, 9);
      }),
      { numRuns: 20, seed: 5 },
    );
  });

  test("has prices that prove 1,000 samples of 100 classes to be at the least cost", () => {
    const rows = draw(new Random(3), 1000, 100);
    const counts = countsOfMarginal(new Float64Array(100).fill(1), 1000);
    const { labels } = transportLabels(rows, counts);
    // no circle of exchanges between classes saves anything: shortest ways between all of them have no negative circle
    const ways = counts.map(() => new Float64Array(100).fill(Infinity));
    labels.forEach((from, i) =>
      ways[from]!.forEach((way, to) => (ways[from]![to] = Math.min(way, rows[i]![from]! - rows[i]![to]!))),
    );
    for (let via = 0; via < 100; via++)
      for (let from = 0; from < 100; from++)
        for (let to = 0; to < 100; to++)
          ways[from]![to] = Math.min(ways[from]![to]!, ways[from]![via]! + ways[via]![to]!);
    expect(Math.min(...ways.map((row, k) => row[k]!))).toBeGreaterThan(-1e-9);
  });

  test("wants a label for each sample", () => {
    expect(() => transportLabels([[0.5, 0.5]], [1, 1])).toThrow(/1 labels, one for each sample, got 2/);
  });

  test("shares labels out as the marginal says, rounded to the nearest", () => {
    expect(countsOfMarginal([0.5, 0.3, 0.2], 7)).toEqual([4, 2, 1]);
    expect(countsOfMarginal([1, 1, 1], 4)).toEqual([2, 1, 1]);
  });
});

test("the agreement of labels is the share of equal ones, of as many", () => {
  expect(agreementOfLabels([1, 2, 3, 4], [1, 2, 0, 0])).toBe(0.5);
  expect(() => agreementOfLabels([1], [1, 2])).toThrow(/as many labels/);
});

test("importance weights know nothing where the source has no such confidence", () => {
  expect(importanceWeighted([0.95, 0.99], [true, true], [0.3])).toBeNaN();
});

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, i) => permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]));
}
