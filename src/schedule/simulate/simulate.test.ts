import { describe, expect, test } from "vitest";
import { isLimberError } from "../../base/index.js";
import { fitEstimator, syntheticTrace } from "../estimate/index.js";
import type { Planner } from "../plan.js";
import { PLANNERS } from "../planners/index.js";
import type { Trace } from "../trace.js";
import { createScenario, SCENARIO_FAMILY_NAMES } from "./create-scenario.js";
import type { PlanEntry, SimulationReport } from "./report.js";
import { endOf, type Scenario } from "./scenario.js";
import { simulate } from "./simulate.js";
import { fixedPlanner, TINY, TINY_SCENARIO, fitTinyEstimator } from "./tiny.test-helper.js";

const tinyEstimator = fitTinyEstimator();

const run = (scenario: Scenario, planner: Planner): Promise<SimulationReport> =>
  simulate(scenario, planner, { traces: [TINY], estimator: tinyEstimator });

describe("a simulation reckoned by hand", () => {
  test("steps that were trained serve from the next part of the window on", async () => {
    // a part lasts 500 ms: 100 predictions of 1 ms, then 10 steps of 10 ms; fog goes from 0.2 to 0.4 with them
    const report = await run(TINY_SCENARIO, fixedPlanner({ steps: 10 }));
    expect(report.score).toBeCloseTo((0.2 + 0.4) / 2, 12);
    expect(report.device.predictMs).toBeCloseTo(200, 9);
    expect(report.device.trainMs).toBeCloseTo(200, 9);
    expect(report.device.idleMs).toBeCloseTo(600, 9);
    expect(report.apps[0]).toMatchObject({
      framesAsked: 200,
      framesServed: 200,
      framesLate: 0,
      steps: 20,
      remodels: 0,
    });
  });

  test("another level is made once, and serves when it is ready", async () => {
    const report = await run(TINY_SCENARIO, fixedPlanner({ level: 1 }));
    expect(report.score).toBeCloseTo((0.2 + 0.4) / 2, 12);
    expect(report.device).toMatchObject({ makeMs: 50, trainMs: 0 });
    expect(report.device.predictMs).toBeCloseTo(100 * 1 + 100 * 2, 9);
    expect(report.apps[0]!.remodels).toBe(1);
  });

  test("a prediction that is given up counts as wrong", async () => {
    const planner = fixedPlanner({});
    const plan: Planner["plan"] = (request) => {
      const made = planner.plan(request);
      return { ...made, allocations: made.allocations.map((each) => ({ ...each, shed: request.apps[0]!.frames / 4 })) };
    };
    const report = await run(TINY_SCENARIO, { ...planner, plan });
    expect(report.score).toBeCloseTo(0.2 * 0.75, 12);
    expect(report.apps[0]!.framesServed).toBeCloseTo(150, 9);
  });

  test("predictions at a share too small for the deadline are late", async () => {
    const apps = TINY_SCENARIO.apps.map((app) => ({ ...app, deadlineMs: 4 }));
    const late = await run({ ...TINY_SCENARIO, apps }, fixedPlanner({ share: 0.2 }));
    expect(late.apps[0]!.framesLate).toBe(200);
    const early = await run({ ...TINY_SCENARIO, apps }, fixedPlanner({ share: 0.3 }));
    expect(early.apps[0]!.framesLate).toBe(0);
  });

  test("where there is more to do than time, training is shared as the plan says", async () => {
    const apps = ["a", "b"].map((name) => ({ ...TINY_SCENARIO.apps[0]!, name, fps: 0 }));
    const drifts = [{ atMs: 0, apps: ["a", "b"], drift: "fog" }];
    const planner = fixedPlanner({ steps: 1000 });
    const plan: Planner["plan"] = (request) => {
      const made = planner.plan(request);
      const allocations = made.allocations.map((each, i) => ({ ...each, share: i === 0 ? 0.75 : 0.25 }));
      return { ...made, allocations };
    };
    const report = await run({ ...TINY_SCENARIO, apps, drifts }, { ...planner, plan });
    expect(report.apps.map(({ steps }) => Math.round(steps))).toEqual([75, 25]);
    expect(report.overBudget).toBe(2);
  });

  test("turns are done one after the other, and each serves from its end on", async () => {
    const apps = ["a", "b"].map((name) => ({ ...TINY_SCENARIO.apps[0]!, name, fps: 0 }));
    const drifts = [{ atMs: 0, apps: ["a", "b"], drift: "fog" }];
    const planner = fixedPlanner({ steps: 10 });
    const plan: Planner["plan"] = (request) => ({
      ...planner.plan(request),
      turns: ["b", "a"].map((app) => ({ app, steps: 10 })),
    });
    const device = { ...TINY_SCENARIO.device, microWindows: 1 };
    const report = await run({ ...TINY_SCENARIO, apps, drifts, device }, { ...planner, plan });
    // 10 steps of 10 ms: b has 0.4 for 900 of 1,000 ms, a for 800
    const [a, b] = report.apps.map(({ score }) => score);
    expect(a).toBeCloseTo(0.2 * 0.2 + 0.8 * 0.4, 9);
    expect(b).toBeCloseTo(0.1 * 0.2 + 0.9 * 0.4, 9);
    expect(report.device.trainMs).toBeCloseTo(200, 9);
    expect(report.device.idleMs).toBeCloseTo(800, 9);
  });

  test("a turn that does not end before the next plan serves with what it has done", async () => {
    const planner = fixedPlanner({ steps: 60 });
    const plan: Planner["plan"] = (request) => ({ ...planner.plan(request), turns: [{ app: "a", steps: 60 }] });
    const apps = TINY_SCENARIO.apps.map((app) => ({ ...app, fps: 0 }));
    const report = await run({ ...TINY_SCENARIO, apps }, { ...planner, plan });
    // 50 steps by 500 ms, of which 20 are recorded
    expect(report.apps[0]!.steps).toBeCloseTo(100, 9);
    expect(report.score).toBeCloseTo((0.2 + 0.6) / 2, 9);
  });

  test("a drift that comes back begins with the part of its steps that feedback keeps", async () => {
    const drifts = ["fog", "snow", "fog"].map((drift, i) => ({ atMs: 1000 * i, apps: ["a"], drift }));
    const scenario = { ...TINY_SCENARIO, windows: 3, drifts, feedback: 0.5 };
    const report = await run(scenario, fixedPlanner({ steps: 10 }));
    // the 20 steps of the first window come back as 10, which score 0.4
    expect(report.windows.map(({ score }) => Number(score.toFixed(9)))).toEqual([0.3, 0.15, 0.5]);
  });

  test("apps are told of while they are there", async () => {
    const planner = fixedPlanner({});
    const apps = [
      { ...TINY_SCENARIO.apps[0]! },
      { ...TINY_SCENARIO.apps[0]!, name: "b", arriveMs: 200, departMs: 700 },
    ];
    const drifts = [{ atMs: 0, apps: ["a", "b"], drift: "fog" }];
    const log: PlanEntry[] = [];
    const options = { traces: [TINY], estimator: tinyEstimator, onPlan: (entry: PlanEntry) => log.push(entry) };
    const report = await simulate({ ...TINY_SCENARIO, apps, drifts }, planner, options);
    expect(log.map(({ atMs, causes }) => [atMs, ...causes])).toEqual([
      [0, "window", "arrival"],
      [200, "arrival"],
      [500, "micro-window"],
      [700, "departure"],
    ]);
    expect(planner.requests.map(({ apps, device }) => [apps.length, device.windowMs])).toEqual([
      [1, 1000],
      [2, 800],
      [2, 500],
      [1, 300],
    ]);
    expect(report.apps.map(({ presentMs }) => presentMs)).toEqual([1000, 500]);
  });

  test("a trial takes its time before anything trains, and tells no true score", async () => {
    const planner = fixedPlanner({ steps: 5 });
    const trials: Planner["trials"] = () => [{ app: "a", level: 1, steps: 5 }];
    const report = await run(TINY_SCENARIO, { ...planner, trials });
    // of making and five steps of the large level; tried once, since only a window begins
    expect(report.device.trialMs).toBeCloseTo(50 + 5 * 20, 9);
    expect(planner.requests).toHaveLength(1);
    expect(planner.requests[0]!.device.windowMs).toBeCloseTo(1000 - 150, 9);
    expect(planner.requests[0]!.apps[0]!.trials).toMatchObject([{ level: 1, steps: 5 }]);
  });

  test.each([
    ["a drift that is not recorded", { drifts: [{ atMs: 0, apps: ["a"], drift: "hail" }] }],
    ["an app that is not there", { drifts: [{ atMs: 0, apps: ["z"], drift: "fog" }] }],
    ["an app without a drift", { drifts: [] }],
    ["a kind without a trace", { apps: [{ ...TINY_SCENARIO.apps[0]!, kind: "radar" }] }],
  ])("%s is refused", async (_, part) => {
    const error = await run({ ...TINY_SCENARIO, ...part }, fixedPlanner({})).catch((reason: unknown) => reason);
    expect(isLimberError(error, "config.invalid")).toBe(true);
  });

  test("a stopped simulation reports what is done", async () => {
    const stop = new AbortController();
    const options = { traces: [TINY], estimator: tinyEstimator, signal: stop.signal, onPlan: () => stop.abort() };
    const report = await simulate(TINY_SCENARIO, fixedPlanner({}), options);
    expect(report).toMatchObject({ complete: false, plans: 1 });
    expect(report.apps[0]!.presentMs).toBe(500);
  });
});

const traces = [1, 2].map((seed) => syntheticTrace({ seed, levels: 4, drifts: 6 }));
const estimator = fitEstimator(traces);
const planner = PLANNERS.filterGrained;

describe("a simulation of synthetic apps", () => {
  test.each(SCENARIO_FAMILY_NAMES)("%s: accounts for all time and all limits, and no app starves", async (family) => {
    const scenario = createScenario({ family, apps: 4, seed: 3, traces, windows: 3, microWindows: 2 });
    const report = await simulate(scenario, planner, { traces, estimator });
    const { predictMs, makeMs, trainMs, trialMs, idleMs } = report.device;
    const spent = predictMs + makeMs + trainMs + trialMs + idleMs;
    expect(spent / endOf(scenario)).toBeCloseTo(1, 9);
    expect(report.overBudget).toBe(0);
    const curves = traces.flatMap(({ drifts }) => drifts.flatMap(({ curves }) => curves));
    const best = Math.max(...curves.flatMap(({ scores }) => scores));
    for (const { score, framesServed, framesAsked } of report.apps) {
      expect(score).toBeGreaterThan(0);
      expect(score).toBeLessThanOrEqual(best);
      expect(framesServed).toBeGreaterThan(0.5 * framesAsked);
    }
  });

  test("the same seed gives the same report, but for how long decisions took", async () => {
    const scenario = createScenario({ family: "bursts", apps: 3, seed: 1, traces, windows: 2 });
    const [one, two] = await Promise.all([1, 2].map(() => simulate(scenario, planner, { traces, estimator })));
    expect({ ...one, decisionMs: [] }).toEqual({ ...two, decisionMs: [] });
    const again = createScenario({ family: "bursts", apps: 3, seed: 1, traces, windows: 2 });
    expect(JSON.parse(JSON.stringify(again))).toEqual(scenario);
  });

  test("planners see no true score: other ones give the same plans", async () => {
    const scenario = createScenario({ family: "steady", apps: 3, seed: 2, traces, windows: 2 });
    const plansFor = async (these: readonly Trace[]): Promise<readonly PlanEntry["plan"][]> => {
      const log: PlanEntry[] = [];
      await simulate(scenario, planner, { traces: these, estimator, onPlan: (entry) => log.push(entry) });
      return log.map(({ plan }) => plan);
    };
    const turned = traces.map((trace) => ({
      ...trace,
      drifts: trace.drifts.map((drift) => ({
        ...drift,
        curves: drift.curves.map((curve) => ({ ...curve, scores: curve.scores.map((score) => 1 - score) })),
      })),
    }));
    expect(await plansFor(turned)).toEqual(await plansFor(traces));
  });
});
