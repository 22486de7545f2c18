import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AppState, ScoreEstimate } from "../app.js";
import type { PlanRequest } from "../plan.js";
import { filterGrained } from "./filter-grained.js";
import { shareOfOptimum } from "./brute-force.js";
import { randomRequest } from "./random-request.js";
import { brokenLimits } from "./requests.test-helper.js";

const planner = filterGrained();

const levels = [1, 2, 3, 4].map((size, index) => ({
  ...{ name: `level ${index}`, size, inferMs: 1 + index, stepMs: 20 + 5 * index, makeMs: 20 },
  memoryBytes: 100 * size,
}));
const concave: ScoreEstimate = (level, steps) => 0.4 + 0.05 * level + 0.3 * (steps / (steps + 30));

const appOf = (name: string, changes: Partial<AppState> = {}): AppState => ({
  ...{ name, weight: 1, frames: 100, levels, level: 0, estimate: concave, quantum: 10, maxSteps: 100, history: [] },
  ...changes,
});
const requestOf = (apps: readonly AppState[], device: Partial<PlanRequest["device"]> = {}): PlanRequest => ({
  device: { windowMs: 10_000, memoryBytes: 1e6, floorShare: 0, ...device },
  apps,
});

/** Shares of the optimum over random tiny instances. */
function sharesOfOptimum(apps: number, levelCount: number, quanta: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, seed) => {
    const shape = { isConcave: seed % 2 === 0, isLimited: seed % 4 > 1 };
    const request = randomRequest(seed, { apps, levels: levelCount, quanta, ...shape });
    return shareOfOptimum(planner, request) ?? 1;
  });
}

describe("the filter-grained planner", () => {
  it.each([
    [2, 4, 5, 200, 1],
    [3, 4, 4, 120, 0.99],
    [4, 3, 2, 100, 0.99],
  ])(
    "is worth at least 95 %% of the optimum: %i apps, %i levels, %i quanta",
    (apps, levelCount, quanta, count, mean) => {
      const shares = sharesOfOptimum(apps, levelCount, quanta, count);
      expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.95);
      expect(shares.reduce((sum, share) => sum + Math.min(1, share), 0) / count).toBeGreaterThanOrEqual(mean - 1e-9);
    },
  );

  it("keeps every limit in 10,000 random scenarios", () => {
    for (let seed = 0; seed < 10_000; seed++) {
      const shape = { apps: 1 + (seed % 4), levels: 3, quanta: 3, isLimited: seed % 2 === 0 };
      const request = randomRequest(seed, { ...shape, load: [0.1, 1.5] });
      const broken = brokenLimits(planner.plan(request), request);
      if (broken.length > 0) expect.unreachable(`seed ${seed}: ${broken.join(", ")}`);
    }
  });

  it("retains filters that pay only with the training after them, as one grant", () => {
    const late: ScoreEstimate = (level, steps) => (level === 2 ? 0.3 + 0.006 * steps : 0.5);
    const { allocations } = planner.plan(requestOf([appOf("late", { estimate: late })]));
    expect(allocations[0]).toMatchObject({ level: 2, steps: 100 });
    expect(allocations[0]!.why[0]).toMatchObject({ action: "retain", from: 0, to: 2, steps: 100 });
  });

  it("trains through the flat start of a curve that rises late", () => {
    const late: ScoreEstimate = (_, steps) => 0.3 + (steps > 60 ? 0.5 : 0);
    expect(planner.plan(requestOf([appOf("late", { estimate: late })])).allocations[0]!.steps).toBe(100);
  });

  it("takes gains that are larger than their cost first, and says which decided", () => {
    const quick: ScoreEstimate = (_, steps) => 0.4 + 0.4 * (steps / (steps + 10));
    const slow: ScoreEstimate = (_, steps) => 0.4 + 0.1 * (steps / (steps + 10));
    const request = requestOf([appOf("slow", { estimate: slow }), appOf("quick", { estimate: quick })], {
      windowMs: 1000,
    });
    const [one, two] = planner.plan(request).allocations;
    expect(two!.steps).toBeGreaterThan(one!.steps);
    for (const { gain, costMs } of two!.why) expect(gain / costMs).toBeGreaterThan(0);
  });

  it("keeps to a plan when it plans the rest of it", () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0.1, max: 0.9, noNaN: true }), (seed, part) => {
        const request = randomRequest(seed, { apps: 4, levels: 4, quanta: 5, isConcave: true });
        const { allocations } = planner.plan(request);
        const apps = request.apps.map((app, i): AppState => {
          const { level, steps } = allocations[i]!;
          const done = Math.floor(part * steps);
          const estimate: ScoreEstimate = (at, further) => app.estimate(at, at === level ? done + further : further);
          return { ...app, level, frames: app.frames * (1 - part), maxSteps: app.maxSteps - done, estimate };
        });
        const makingMs = request.apps.reduce((sum, app, i) => {
          const { level } = allocations[i]!;
          return level === app.level ? sum : sum + app.levels[level]!.makeMs;
        }, 0);
        const windowMs = (1 - part) * (request.device.windowMs - makingMs);
        const rest = planner.plan({ device: { ...request.device, windowMs }, apps });
        const changed = rest.allocations.filter(({ level }, i) => level !== allocations[i]!.level);
        expect(changed.length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  it("takes no smaller level for better than a larger one, where levels are ordered, but for the one that serves", () => {
    const falling: ScoreEstimate = (level) => 0.8 - 0.1 * level;
    const planOf = (isOrdered: boolean, level: number | undefined) =>
      filterGrained({ isOrdered }).plan(requestOf([appOf("app", { level, estimate: falling, frames: 10 })]))
        .allocations[0]!;
    expect(planOf(false, undefined).expected).toBeCloseTo(0.8, 2);
    // the estimate of the largest holds for all of them
    expect(planOf(true, undefined).why).toEqual([]);
    expect(planOf(true, 1)).toMatchObject({ level: 1, steps: 0 });
    expect(planOf(false, 1).level).toBe(0);
  });

  it("trains nothing where there is nothing to train, whatever is expected of it", () => {
    const app = appOf("app", { level: 0, estimate: (_, steps) => 0.4 + 0.01 * steps });
    const [first, ...larger] = app.levels;
    const planOf = (size: number) =>
      planner.plan(requestOf([{ ...app, levels: [{ ...first!, size, stepMs: 1 }, ...larger] }])).allocations[0]!;
    expect(planOf(1)).toMatchObject({ level: 0 });
    expect(planOf(1).steps).toBeGreaterThan(0);
    expect(planOf(0).level).toBeGreaterThan(0);
    expect(planOf(0).steps).toBeGreaterThan(0);
  });

  it("gives predictions up by weight, and in equal parts where weights are equal", () => {
    const apps = [1, 1, 2].map((weight, i) => appOf(`app ${i}`, { weight, frames: 1000 }));
    const { allocations, refused } = planner.plan(requestOf(apps, { windowMs: 2000 }));
    expect(refused).toEqual([]);
    expect(allocations.map(({ shed }) => shed)).toEqual([501, 501, 0]);
    expect(allocations.map(({ steps }) => steps)).toEqual([0, 0, 0]);
  });

  it("refuses the least weighted apps where memory does not hold the smallest models", () => {
    const apps = [1, 0.5, 1].map((weight, i) => appOf(`app ${i}`, { weight }));
    const plan = planner.plan(requestOf(apps, { memoryBytes: 250 }));
    expect(plan.refused).toEqual(["app 1"]);
    expect(plan.allocations[1]).toMatchObject({ share: 0, steps: 0, shed: 100, costMs: 0, expected: 0 });
    expect(plan.memoryBytes).toBe(200);
  });

  it("keeps the floor for an app that gains nothing, and lets it train within it for free", () => {
    const dull = appOf("dull", { weight: 0.001 });
    const { allocations } = planner.plan(
      requestOf([dull, appOf("keen", { weight: 10, maxSteps: 10_000 })], { floorShare: 0.3 }),
    );
    expect(allocations[0]!.share).toBeGreaterThanOrEqual(0.3 * (1 - 1e-6));
    expect(allocations[0]!.steps).toBeGreaterThan(0);
    expect(allocations[0]!.why[0]!.costMs).toBe(0);
  });

  it("gives each app the share that its deadline needs, at a smaller level where that share is not there", () => {
    const tight = appOf("tight", { deadlineMs: 3 });
    const { allocations } = planner.plan(requestOf([tight, appOf("other")]));
    const { level, share } = allocations[0]!;
    expect(levels[level]!.inferMs).toBeLessThanOrEqual(3 * share);
    expect(level).toBeLessThan(2);
  });
});
