import type { Level } from "../app.js";
import { type Estimator, fitEstimator, syntheticTrace } from "../estimate/index.js";
import type { Allocation, Plan, Planner, PlanRequest } from "../plan.js";
import type { Signals, Trace, TraceCurve } from "../trace.js";
import type { Scenario } from "./scenario.js";

const signalsOf = (score: number): Signals => ({
  ...{ confidence: score, entropy: 1 - score, marginalEntropy: 1, atc: score, distance: 1, agreement: score },
});

const curve = (level: number, scores: readonly number[]): TraceCurve => ({
  ...{ level, steps: [0, 10, 20], scores, signals: scores.map(signalsOf) },
});

/** Two levels, two drifts; all figures are easy to reckon with. */
export const TINY: Trace = {
  ...{ version: 1, kind: "tiny", task: "classification", metric: "accuracy", command: "none", machine: "none" },
  sourceScores: [0.9, 1],
  sourceSignals: [0.9, 1].map(signalsOf),
  levels: [
    { name: "small", size: 1, inferMs: 1, stepMs: 10, makeMs: 50, memoryBytes: 100 },
    { name: "large", size: 2, inferMs: 2, stepMs: 20, makeMs: 50, memoryBytes: 200 },
  ] satisfies Level[],
  drifts: [
    { name: "blur", isValidation: true, curves: [curve(0, [0.3, 0.5, 0.6]), curve(1, [0.5, 0.7, 0.8])] },
    { name: "fog", isValidation: false, curves: [curve(0, [0.2, 0.4, 0.6]), curve(1, [0.4, 0.6, 0.8])] },
    { name: "snow", isValidation: false, curves: [curve(0, [0.1, 0.2, 0.3]), curve(1, [0.3, 0.4, 0.5])] },
  ],
};

/** Any one does where plans are fixed. */
export const fitTinyEstimator = (): Estimator =>
  fitEstimator([syntheticTrace({ seed: 1, kind: TINY.kind, drifts: 6 })]);

/** One window of a second in two parts, one app that is asked 200 times. */
export const TINY_SCENARIO: Scenario = {
  ...{ name: "tiny", windows: 1, feedback: 0, bursts: [] },
  device: { windowMs: 1000, microWindows: 2, memoryBytes: 1000 },
  apps: [{ name: "a", kind: "tiny", weight: 1, fps: 200, arriveMs: 0 }],
  drifts: [{ atMs: 0, apps: ["a"], drift: "fog" }],
};

/** A planner that gives every app the same level, steps and share each time, and remembers what it was asked. */
export function fixedPlanner(choice: Partial<Allocation>): Planner & { readonly requests: PlanRequest[] } {
  const requests: PlanRequest[] = [];
  return {
    ...{ name: "fixed", summary: "the same each time", requests },
    plan(request): Plan {
      requests.push(request);
      const allocations = request.apps.map(({ name }): Allocation => ({
        ...{ app: name, level: 0, steps: 0, share: 1 / request.apps.length, shed: 0, costMs: 0, expected: 0 },
        ...{ why: [], ...choice },
      }));
      const { windowMs } = request.device;
      return { planner: "fixed", windowMs, allocations, costMs: 0, memoryBytes: 0, refused: [] };
    },
  };
}
