import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AppState, ScoreEstimate } from "../app.js";
import type { Plan, Planner, PlanRequest } from "../plan.js";
import { randomRequest } from "./random-request.js";
import { brokenLimits, withTrials } from "./requests.test-helper.js";

/** What a planner does not claim, by its definition. */
export interface ContractOptions {
  /** Looks at estimates, so that it does not train where nothing is gained. */
  readonly readsCurves: boolean;
  readonly usesWeights: boolean;
  readonly trains: boolean;
}

const concave: ScoreEstimate = (level, steps) => 0.4 + 0.05 * level + 0.3 * (steps / (steps + 30));
const levels = [1, 2, 3].map((size, index) => ({
  ...{ name: `level ${index}`, size, inferMs: 4 + index, stepMs: 40 + 5 * index, makeMs: 10 },
  memoryBytes: 1e6 * size,
}));

const appOf = (name: string, changes: Partial<AppState> = {}): AppState => ({
  ...{ name, weight: 1, frames: 100, levels, level: 0, estimate: concave, quantum: 10, maxSteps: 300, history: [] },
  ...changes,
});

const requestOf = (apps: readonly AppState[]): PlanRequest => ({
  device: { windowMs: 20_000, memoryBytes: 1e9 },
  apps,
});

/** What holds of every planner. */
export function checkPlannerContract(planner: Planner, { readsCurves, usesWeights, trains }: ContractOptions): void {
  const planOf = (request: PlanRequest): Plan => planner.plan(withTrials(planner, request));
  const sharesOf = (request: PlanRequest): readonly number[] => planOf(request).allocations.map(({ share }) => share);

  describe(`planner ${planner.name}`, () => {
    it("keeps to time, memory, shares, deadlines and floor, with its trials, also when predictions alone are too many", () => {
      fc.assert(
        fc.property(fc.nat(), fc.integer({ min: 1, max: 6 }), (seed, apps) => {
          const request = randomRequest(seed, { apps, levels: 4, quanta: 5, isLimited: true, load: [0.1, 2] });
          const tried = withTrials(planner, request);
          expect(brokenLimits(planner.plan(tried), tried)).toEqual([]);
        }),
        { numRuns: 50, seed: 1 },
      );
    });

    it("decides the same for the same request, and leaves it as it was", () => {
      const request = withTrials(planner, randomRequest(3, { apps: 5, levels: 4, quanta: 5 }));
      const before = JSON.stringify(request);
      expect(planner.plan(request)).toEqual(planner.plan(request));
      expect(JSON.stringify(request)).toBe(before);
    });

    it("gives equal apps equal shares, but for one grant", () => {
      const plan = planOf(requestOf(["a", "b", "c", "d"].map((name) => appOf(name))));
      const shares = plan.allocations.map(({ share }) => share);
      const grants = plan.allocations.flatMap(({ why }) => why.map(({ costMs }) => costMs));
      const grantMs = Math.max(levels[2]!.stepMs, ...grants);
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(grantMs / plan.windowMs + 1e-9);
    });

    it("serves every prediction that fits, and trains each app that gains", () => {
      const weights = [100, 100, 0.01];
      const plan = planOf(
        requestOf(weights.map((weight, i) => appOf(`app ${i}`, { weight, frames: 20, maxSteps: 60 }))),
      );
      expect(plan.allocations.map(({ shed }) => shed)).toEqual([0, 0, 0]);
      for (const { steps } of plan.allocations) expect(steps > 0).toBe(trains);
    });

    it.runIf(readsCurves)("trains no app that gains nothing", () => {
      const flat = appOf("flat", { estimate: (level) => concave(level, 0) });
      const steps = planOf(requestOf([flat, appOf("gains")])).allocations.map((each) => each.steps);
      expect(steps[0]).toBe(0);
      expect(steps[1]! > 0).toBe(trains);
    });

    it.runIf(usesWeights)("gives the app that weighs more no less, and more where both want it", () => {
      const [light, heavy] = sharesOf(requestOf([appOf("light"), appOf("heavy", { weight: 4 })]));
      if (trains) expect(heavy).toBeGreaterThan(light!);
      else expect(heavy).toBeGreaterThanOrEqual(light!);
    });

    it("plans nothing for nobody", () => {
      expect(planOf(requestOf([]))).toMatchObject({ allocations: [], costMs: 0, memoryBytes: 0, refused: [] });
    });

    it("gives one app alone what it can use", () => {
      const { allocations } = planOf(requestOf([appOf("alone")]));
      expect(allocations[0]).toMatchObject({ app: "alone", shed: 0 });
      expect(allocations[0]!.steps > 0).toBe(trains);
    });

    it("survives estimates that are no numbers", () => {
      const request = requestOf([appOf("absurd", { estimate: () => NaN }), appOf("sane")]);
      const plan = planOf(request);
      expect(brokenLimits(plan, withTrials(planner, request))).toEqual([]);
      expect(plan.allocations.every(({ expected }) => expected >= 0 && expected <= 1)).toBe(true);
      if (readsCurves) expect(plan.allocations[0]!.steps).toBe(0);
    });

    it("refuses what is no request", () => {
      const broken: readonly PlanRequest[] = [
        { ...requestOf([]), device: { windowMs: NaN, memoryBytes: 1 } },
        requestOf([appOf("twice"), appOf("twice")]),
        requestOf([appOf("a", { levels: [] })]),
        requestOf([appOf("a", { level: 3 })]),
        requestOf([appOf("a", { weight: -1 })]),
        requestOf([appOf("a", { quantum: 0 })]),
        requestOf([appOf("a", { levels: [{ ...levels[0]!, stepMs: -1 }] })]),
      ];
      for (const request of broken)
        expect(() => planner.plan(request)).toThrow(expect.objectContaining({ code: "config.invalid" }));
    });
  });
}
