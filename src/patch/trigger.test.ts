import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import { DriftTrigger, sourceLevelOf } from "./trigger.js";

const source = { mean: 0.2, deviation: 0.02 };

describe("DriftTrigger", () => {
  test("a drift begins when the average is two deviations off, and ends within one", () => {
    const trigger = new DriftTrigger({ source, memory: 0 });
    const levels = [0.2, 0.235, 0.245, 0.235, 0.225, 0.215, 0.235, 0.15];
    const readings = levels.map((level) => trigger.observe(level));
    expect(readings.map(({ drifted }) => drifted)).toEqual([false, false, true, true, true, false, false, true]);
    expect(readings.flatMap(({ changed }, i) => (changed ? i : []))).toEqual([2, 5, 7]);
    expect(readings[7]!.distance).toBeCloseTo(-2.5, 9);
  });

  test("one odd batch is none, a row of them is one", () => {
    const trigger = new DriftTrigger({ source });
    expect(trigger.observe(0.38).drifted).toBe(false);
    expect(trigger.observe(0.2).drifted).toBe(false);
    expect([0.38, 0.38, 0.38].map((level) => trigger.observe(level).drifted)).toContain(true);
  });

  test("does not flap at the border, nor trigger on batches of the source", () => {
    const random = new Random(3);
    const border = new DriftTrigger({ source, memory: 0 });
    const changes = Array.from({ length: 200 }, () => border.observe(0.24 + random.normal(0, 0.005)).changed);
    expect(changes.filter(Boolean)).toHaveLength(1);
    const calm = new DriftTrigger({ source });
    const drifts = Array.from({ length: 2000 }, () => calm.observe(random.normal(0.2, 0.02)).drifted);
    expect(drifts).not.toContain(true);
  });

  test("what is no number changes nothing and is counted; a reset forgets", () => {
    const trigger = new DriftTrigger({ source, memory: 0.5 });
    const { average } = trigger.observe(0.5);
    expect(trigger.observe(NaN)).toMatchObject({ average, drifted: true, changed: false });
    expect(trigger.broken).toBe(1);
    trigger.reset();
    expect(trigger.observe(0.2)).toMatchObject({ average: 0.2, drifted: false, changed: false });
  });

  test("a source without deviation does not make every batch a drift", () => {
    const trigger = new DriftTrigger({ source: { mean: 0.2, deviation: 0 } });
    expect(trigger.observe(0.2001).drifted).toBe(false);
    expect(trigger.observe(0.3).drifted).toBe(true);
  });

  test.each([{ enter: 1, leave: 2 }, { memory: 1 }, { source: { mean: NaN, deviation: 1 } }])(
    "refuses %j",
    (options) => {
      expect(() => new DriftTrigger({ source, ...options })).toThrow(
        expect.objectContaining({ code: "config.invalid" }),
      );
    },
  );
});

describe("sourceLevelOf", () => {
  test("is mean and sample deviation of what are numbers", () => {
    expect(sourceLevelOf([0.1, NaN, 0.3])).toEqual({
      mean: 0.2,
      deviation: expect.closeTo(Math.sqrt(0.02), 12) as number,
    });
    expect(sourceLevelOf([0.1])).toEqual({ mean: 0.1, deviation: 0 });
    expect(() => sourceLevelOf([NaN])).toThrow(/at least one batch/);
  });
});
