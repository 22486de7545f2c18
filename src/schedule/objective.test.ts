import { describe, expect, it } from "vitest";
import type { AppState } from "./app.js";
import { costOf, deadlineMsOf, windowScore } from "./objective.js";

const level = { name: "", size: 1, memoryBytes: 0 };
const app: AppState = {
  ...{ name: "app", weight: 1, frames: 100, level: 0, quantum: 10, maxSteps: 40, history: [] },
  levels: [
    { ...level, inferMs: 2, stepMs: 20, makeMs: 50 },
    { ...level, inferMs: 4, stepMs: 30, makeMs: 100 },
  ],
  // a line, so that its mean is known: 0.4 or 0.5, and 0.01 more a step
  estimate: (at, steps) => 0.4 + 0.1 * at + 0.01 * steps,
};

describe("what planners are judged by", () => {
  it("is the mean of the curve while training goes evenly through the window", () => {
    expect(windowScore(app, 0, 0, 1000)).toBeCloseTo(0.4, 12);
    expect(windowScore(app, 0, 40, 1000)).toBeCloseTo(0.4 + 0.01 * 20, 12);
    expect(windowScore(app, 0, 17, 1000)).toBeCloseTo(0.4 + 0.01 * 8.5, 12);
  });

  it("lets the level that serves go on serving until another one is made", () => {
    expect(windowScore(app, 1, 0, 1000)).toBeCloseTo(0.1 * 0.4 + 0.9 * 0.5, 12);
    expect(windowScore({ ...app, level: undefined }, 1, 20, 1000)).toBeCloseTo(0.9 * 0.6, 12);
    expect(windowScore(app, 1, 0, 50)).toBeCloseTo(0.4, 12);
  });

  it("counts predictions that are given up as wrong", () => {
    expect(windowScore(app, 0, 0, 1000, 25)).toBeCloseTo(0.75 * 0.4, 12);
    expect(windowScore({ ...app, frames: 0 }, 0, 0, 1000)).toBeCloseTo(0.4, 12);
  });

  it("takes a score that is no number for no change, and others into [0, 1]", () => {
    const broken = { ...app, estimate: (_: number, steps: number) => (steps === 0 ? 0.4 : NaN) };
    expect(windowScore(broken, 0, 40, 1000)).toBeCloseTo(0.4, 12);
    expect(windowScore({ ...app, estimate: () => 7 }, 0, 0, 1000)).toBe(1);
  });

  it("costs the making of another level, steps, and the predictions served", () => {
    expect(costOf(app, 0, 10)).toBe(200 + 200);
    expect(costOf(app, 1, 10, 50)).toBe(100 + 300 + 200);
    expect(costOf({ ...app, level: undefined }, 0, 0)).toBe(50 + 200);
  });

  it("keeps as much of the window as a share that meets the deadline takes", () => {
    expect(deadlineMsOf({ ...app, deadlineMs: 40 }, 1, 1000)).toBe(100);
    expect(deadlineMsOf({ ...app, deadlineMs: 40 }, 1, 1000, 100)).toBe(0);
    expect(deadlineMsOf(app, 1, 1000)).toBe(0);
  });
});
