import { expect, test } from "vitest";
import { Recording } from "./recording.js";
import { TINY } from "./tiny.test-helper.js";

const between = { ...TINY.levels[0]!, name: "between", size: 1.5 };
const recording = new Recording(TINY, [TINY.levels[0]!, between, TINY.levels[1]!]);
const fog = recording.drifts.get("fog")!;

test.each([
  ["at what was measured", 0, 10, 0.4],
  ["between two counts of steps", 0, 5, 0.3],
  ["between two levels", 1, 0, 0.3],
  ["between both", 1, 5, 0.4],
  ["beyond the last step", 2, 100, 0.8],
])("scores and signals %s", (_, level, steps, score) => {
  expect(recording.score(fog, level, steps)).toBeCloseTo(score, 12);
  expect(recording.signals(fog, level, steps).atc).toBeCloseTo(score, 12);
});

test("drifts to fit estimators on are not replayed", () => {
  expect([...recording.drifts.keys()]).toEqual(["fog", "snow"]);
});

test("curves that do not start at step 0 are refused", () => {
  const drifts = TINY.drifts.map((drift) => ({
    ...drift,
    curves: drift.curves.map((curve) => ({ ...curve, steps: [1, 10, 20] })),
  }));
  expect(() => new Recording({ ...TINY, drifts })).toThrow(/curves from step 0 on/u);
});
