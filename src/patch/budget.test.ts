import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { epochsFor, findStop, targetOf } from "./budget.js";

describe("epochsFor", () => {
  test.each([
    [undefined, 10],
    [0, 10],
    [0.5, 7],
    [0.8, 6],
    [1, 4],
  ])("similarity %s: %i of 10 epochs", (similarity, epochs) => {
    expect(epochsFor(similarity)).toBe(epochs);
  });

  test("never below the least, never above the base, never more for more similarity", () => {
    const budget = { base: 5, least: 2, discount: 1 };
    expect([epochsFor(1, budget), epochsFor(-1, budget), epochsFor(9, budget)]).toEqual([2, 5, 2]);
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(share, share, (a, b) => {
        expect(epochsFor(Math.max(a, b))).toBeLessThanOrEqual(epochsFor(Math.min(a, b)));
      }),
      { numRuns: 50 },
    );
  });
});

describe("findStop", () => {
  const rule = { leastGain: 0.005, patience: 2, target: targetOf(0.8) };

  test.each<[string, number[], "target" | "plateau" | undefined]>([
    ["nothing was measured", [], undefined],
    ["it gets better", [0.3, 0.4, 0.5], undefined],
    ["one evaluation gains too little", [0.3, 0.4, 0.402], undefined],
    ["two in a row gain too little", [0.3, 0.4, 0.402, 0.404], "plateau"],
    ["a gain comes between", [0.3, 0.301, 0.35, 0.351], undefined],
    ["it falls and comes back no further than it was", [0.5, 0.4, 0.5], "plateau"],
    ["95 % of what it was", [0.5, 0.76], "target"],
    ["good enough from the start", [0.79], "target"],
    ["good enough once, then worse", [0.5, 0.77, 0.7, 0.7], "target"],
    ["a score that is no number counts as a rest", [0.5, NaN, 0.5], "plateau"],
  ])("%s", (_, scores, reason) => {
    expect(findStop(scores, rule)).toBe(reason);
  });
});
