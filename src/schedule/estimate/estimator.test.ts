import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Trace } from "../trace.js";
import { createEstimator, type Observation } from "./estimator.js";
import {
  fitEstimator,
  judgeEstimator,
  readEstimator,
  ScoreTracker,
  spearman,
  syntheticTrace,
  writeEstimator,
} from "./index.js";

const traces = [1, 2, 3].map((seed) => syntheticTrace({ seed, kind: `kind ${seed}`, drifts: 18 }));
const estimator = fitEstimator(traces);
const trace = traces[0]!;
const held = trace.drifts.find(({ isValidation }) => !isValidation)!;
const seenAt = (level: number, i: number, drift = held) => {
  const { steps, signals } = drift.curves[level]!;
  return { level, steps: steps[i]!, signals: signals[i]! };
};

describe("an estimator", () => {
  const { pooled, kinds } = judgeEstimator(estimator, traces);

  test("knows the scores of drifts that it was not fitted on, better than any single formula", () => {
    for (const { now, made, trained, corrected, elsewhere, ac, doc, atc, gde } of [pooled, ...Object.values(kinds)]) {
      for (const judged of [now!, made!, trained!, corrected!, elsewhere!]) {
        expect(judged.mae).toBeLessThan(0.05);
        expect(judged.spearman).toBeGreaterThan(0.75);
      }
      expect(now!.mae).toBeLessThan(0.5 * Math.min(ac!.mae, doc!.mae, atc!.mae, gde!.mae));
      expect(corrected!.mae).toBeLessThan(trained!.mae);
    }
  });

  test("is judged at every time of every drift that is not for validation", () => {
    const [drifts, levels, times] = [12, 5, 11];
    expect(pooled.now!.count).toBe(3 * drifts * levels * times);
    expect(pooled.made!.count).toBe(3 * drifts * levels);
    expect(pooled.trained!.count).toBe(3 * drifts * levels * (times - 1));
    expect(pooled.elsewhere!.count).toBe(3 * drifts * levels * (levels - 1));
    expect(pooled.doc!.count).toBe(pooled.now!.count);
  });

  test("does not look at the drifts that it is judged on", () => {
    const blind = traces.map((each) => ({ ...each, drifts: each.drifts.filter(({ isValidation }) => isValidation) }));
    expect(fitEstimator(blind).record).toEqual(estimator.record);
  });

  test("is the same after it was written and read", () => {
    const read = readEstimator(writeEstimator(estimator));
    expect(read.record).toEqual(estimator.record);
    expect(read.score("kind 1", seenAt(2, 3))).toBe(estimator.score("kind 1", seenAt(2, 3)));
    for (const text of ["", "{}", writeEstimator(estimator).replace('"version":1', '"version":2')])
      expect(() => readEstimator(text)).toThrow(/text of writeEstimator/);
  });

  test("wants validation drifts of each kind", () => {
    const none: Trace = { ...trace, drifts: trace.drifts.filter(({ isValidation }) => !isValidation) };
    expect(() => fitEstimator([none])).toThrow(/validation drifts of each kind, got none of kind 1/);
    expect(() => fitEstimator([])).toThrow(/validation drifts/);
  });

  test("estimates nothing of kinds it does not know, or of which nothing was seen", () => {
    expect(() => estimator.score("kind 4", seenAt(0, 0))).toThrow(/a kind of kind 1, kind 2, kind 3, got kind 4/);
    expect(() => estimator.estimate("toString", [seenAt(0, 0)])).toThrow(/got toString/);
    expect(() => estimator.estimate("kind 1", [])).toThrow(/an observation at least/);
  });
});

describe("an estimate", () => {
  test("counts further steps from those of the level that serves, and all of other levels", () => {
    const [fresh, trained] = [seenAt(1, 0), seenAt(1, 4)];
    const before = estimator.estimate("kind 1", [fresh]);
    const after = estimator.estimate("kind 1", [fresh, trained]);
    expect(after(1, 20)).toBe(before(1, 60));
    expect(after(3, 20)).toBe(before(3, 20));
  });

  test("is taken back to the level as made where it was first seen trained", () => {
    const estimate = estimator.estimate("kind 1", [seenAt(1, 4)]);
    expect(estimate(1, 0)).toBeCloseTo(estimator.score("kind 1", seenAt(1, 4)), 2);
    // of a level that is made anew, so that what was trained is not counted
    expect(estimate(2, 0)).toBeLessThan(estimate(1, 0) + trace.sourceScores[2]! - trace.sourceScores[1]!);
  });

  test("is near what was seen of a level, with other levels on both sides", () => {
    const seen = [0, 2, 4].map((level) => seenAt(level, 0));
    const estimate = estimator.estimate("kind 1", seen);
    for (const each of seen)
      expect(Math.abs(estimate(each.level, 0) - estimator.score("kind 1", each))).toBeLessThan(0.02);
  });

  test("goes by the sizes of the levels that it is asked for", () => {
    const seen = [{ ...seenAt(4, 0), level: 2 }];
    const levels = [0, 2, 4].map((place) => trace.levels[place]!);
    const [whole, part] = [
      estimator.estimate("kind 1", [seenAt(4, 0)]),
      estimator.estimate("kind 1", seen, { levels }),
    ];
    for (const steps of [0, 30])
      [0, 1, 2].forEach((level) => expect(part(level, steps)).toBeCloseTo(whole(2 * level, steps), 12));
  });

  test("lies between 0 and the source's best score, whatever was seen", () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const signals = fc.record({
      ...{ confidence: share, entropy: share, marginalEntropy: share, atc: share, agreement: share },
      distance: fc.double({ min: 0, max: 1e6, noNaN: true }),
    });
    const observation = fc.record({
      level: fc.integer({ min: 0, max: 4 }),
      steps: fc.integer({ min: 0, max: 500 }),
      signals,
    });
    const best = Math.max(...trace.sourceScores);
    fc.assert(
      fc.property(
        fc.array(observation, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 0, max: 4 }),
        fc.nat(1000),
        (seen, level, steps) => {
          const value = estimator.estimate("kind 1", seen, { error: 0.3 })(level, steps);
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(best);
        },
      ),
      { numRuns: 50, seed: 2 },
    );
  });

  test("hopes for more than it expects of training, less where some was done, and for nothing more at once", () => {
    const { record } = estimator;
    const unsure = createEstimator({ ...record, gain: { ...record.gain, deviations: { "kind 1": 0.2 } } });
    const at = (level: number, seen: readonly Observation[], isHopeful: boolean) => {
      const estimate = unsure.estimate("kind 1", seen, { isHopeful });
      return { now: estimate(level, 0), gain: estimate(level, 40) - estimate(level, 0) };
    };
    for (const level of [0, 2]) {
      const fresh = [false, true].map((isHopeful) => at(level, [seenAt(2, 0)], isHopeful));
      expect(fresh[1]!.now).toBe(fresh[0]!.now);
      expect(fresh[1]!.gain).toBeGreaterThan(fresh[0]!.gain);
    }
    const other = [0, 4].map((steps) => {
      const seen = [seenAt(2, 0), ...(steps > 0 ? [seenAt(2, 4)] : [])];
      return at(0, seen, true).gain - at(0, seen, false).gain;
    });
    expect(other[1]!).toBeLessThan(0.8 * other[0]!);
  });

  test("hopes for something of making a model anew, the more the less levels are known", () => {
    const { record } = estimator;
    const renewal = (deviation: number): number =>
      createEstimator({ ...record, level: { ...record.level, deviations: { "kind 1": deviation } } }).renewal("kind 1");
    expect(renewal(0.1)).toBeCloseTo(0.1 / Math.sqrt(2 * Math.PI), 9);
    expect(renewal(0)).toBe(0);
    expect(() => estimator.renewal("cars")).toThrow(expect.objectContaining({ code: "config.invalid" }));
  });

  test("is corrected by three tenths of what it was wrong by", () => {
    expect(estimator.correct(0.1, 0.5, 0.6)).toBeCloseTo(0.7 * 0.1 - 0.3 * 0.1, 12);
    const tracker = new ScoreTracker(estimator, "kind 1");
    expect(() => tracker.estimate).toThrow(/an observation at least/);
    tracker.observe(seenAt(2, 0));
    const predicted = tracker.estimate(2, 40);
    const observed = estimator.score("kind 1", seenAt(2, 4));
    expect(tracker.observe(seenAt(2, 4))).toBeCloseTo(predicted + 0.3 * (observed - predicted), 12);
    expect(tracker.estimate(4, 0)).toBeCloseTo(
      estimator.estimate("kind 1", [seenAt(2, 0)])(4, 0) + 0.3 * (observed - predicted),
      12,
    );
    tracker.forget();
    expect(tracker.hasSeen).toBe(false);
    expect(tracker.observe(seenAt(2, 0))).toBeCloseTo(estimator.score("kind 1", seenAt(2, 0)), 2);
  });
});

describe("a synthetic trace", () => {
  test("is the same for the same seed, and another for another", () => {
    expect(syntheticTrace({ seed: 1, kind: "kind 1", drifts: 18 })).toEqual(trace);
    expect(syntheticTrace({ seed: 4 }).drifts).not.toEqual(syntheticTrace({ seed: 5 }).drifts);
  });

  test("has larger levels that score more as made and cost more, and training that brings less and less", () => {
    for (const { curves } of trace.drifts) {
      curves.slice(1).forEach(({ scores }, i) => expect(scores[0]).toBeGreaterThan(curves[i]!.scores[0]!));
      for (const { scores } of curves) {
        const gains = scores.slice(1).map((score, i) => score - scores[i]!);
        expect(Math.min(...gains)).toBeGreaterThan(0);
        gains.slice(1).forEach((gain, i) => expect(gain).toBeLessThan(gains[i]!));
      }
    }
    trace.levels.slice(1).forEach((level, i) => expect(level.stepMs).toBeGreaterThan(trace.levels[i]!.stepMs));
  });
});

test("Spearman's correlation goes by ranks, ties having the mean of theirs", () => {
  expect(spearman([1, 2, 3], [10, 100, 1000])).toBe(1);
  expect(spearman([1, 2, 3], [3, 2, 1])).toBe(-1);
  expect(spearman([1, 2, 3], [5, 5, 5])).toBe(0);
  // scipy.stats.spearmanr
  expect(spearman([1, 2, 2, 3, 5], [2, 1, 4, 4, 6])).toBeCloseTo(0.763157894736842, 12);
});
