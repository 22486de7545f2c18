import { describe, expect, test } from "vitest";
import { createScenario, fitEstimator, type PlanEntry, syntheticTrace } from "../../schedule/index.js";
import {
  drawScheduleReport,
  flattenSchedule,
  growth,
  runSimulations,
  scheduleHeadlineOf,
  type ScheduleRow,
  scheduleRow,
  shareSeriesOf,
} from "./index.js";

const row = (planner: string, scenario: string, seed: number, score: number): ScheduleRow => ({
  ...{ run: "r", mode: "simulated", scenario, apps: 8, windows: 10, planner, seed },
  kind: planner === "filterGrained" ? "ours" : "baseline",
  ...{ score, weightedScore: score, worstScore: score, framesAsked: 10, framesServed: 10, framesLate: 0 },
  ...{ busyShare: 0.5, trainingShare: 0.25, steps: 5, remodels: 1, plans: 3, overBudget: 0 },
  ...{ decisionMs: { median: 1, max: 2 }, seconds: 1 },
});

const ROWS = [
  row("filterGrained", "calm", 0, 0.8),
  row("filterGrained", "calm", 1, 0.6),
  row("uniform", "calm", 0, 0.7),
  row("uniform", "calm", 1, 0.5),
  row("filterGrained", "busy", 0, 0.5),
  row("uniform", "busy", 0, 0.45),
  row("recl", "busy", 0, 0.55),
];

describe("the headline", () => {
  test("gains are means over seeds, then scenarios; the scenario that gains least comes first", () => {
    const { gainPoints, cells } = scheduleHeadlineOf(ROWS);
    expect(gainPoints.uniform).toBeCloseTo((10 + 5) / 2, 9);
    expect(gainPoints.recl).toBeCloseTo(-5, 9);
    expect(gainPoints.ekya).toBeNull();
    expect(cells.map(({ scenario }) => scenario)).toEqual(["busy", "calm"]);
    expect(cells[1]!.planners[0]).toMatchObject({ planner: "filterGrained", lowest: 0.6, highest: 0.8 });
  });

  test("gains compare equal seeds only", () => {
    const rows = [...ROWS.slice(0, 2), row("uniform", "calm", 1, 0.5)];
    expect(scheduleHeadlineOf(rows).gainPoints.uniform).toBeCloseTo(10, 9);
  });

  test("plans over budget and times of decisions are told", () => {
    const growth = [16, 10_000].map((apps) => ({
      ...{ planner: "filterGrained", apps, plans: 1, decisionMs: { median: apps / 10, max: apps }, seconds: 1 },
    }));
    const rows = [...ROWS, { ...row("ekya", "busy", 0, 0.1), overBudget: 2 }];
    expect(scheduleHeadlineOf(rows, growth)).toMatchObject({ overBudget: 2, decisionMs16: 1.6, decisionMs10000: 1000 });
  });
});

test("the page tells every scenario, planner and figure, and asks for nothing from elsewhere", () => {
  const headline = scheduleHeadlineOf(ROWS);
  const shares = [{ title: "a run", endMs: 10, apps: ["a"], points: [{ atMs: 0, shares: [0.5] }], events: [] }];
  const estimates = [{ kind: "cars", estimated: 0.5, measured: 0.6 }];
  const page = drawScheduleReport({ headline, complete: false, command: "limber bench schedule", shares, estimates });
  for (const text of ["busy, 8 apps", "calm, 8 apps", "recl", "−5.00", "stopped before its end", "a run", "cars"])
    expect(page).toContain(text);
  expect(page).not.toMatch(/https?:|<script|NaN|undefined/u);
});

describe("simulations", () => {
  const traces = [syntheticTrace({ seed: 1, drifts: 6 })];
  const estimator = fitEstimator(traces);
  const options = { traces, estimator, families: ["steady"], apps: [2], seeds: 1, windows: 2 } as const;

  test("planners meet the same scenarios; rows are valid, and those known are not simulated again", async () => {
    const log: PlanEntry[] = [];
    const planners = ["filterGrained", "uniform"] as const;
    const first = await runSimulations({ ...options, planners, onPlan: (_, entry) => log.push(entry) });
    expect(first.rows.map(({ planner, kind, apps }) => [planner, kind, apps])).toEqual([
      ["filterGrained", "ours", 2],
      ["uniform", "baseline", 2],
    ]);
    for (const each of first.rows) expect(scheduleRow.parse(JSON.parse(JSON.stringify(each)))).toEqual(each);
    expect(new Set(first.rows.map(({ framesAsked }) => Math.round(framesAsked))).size).toBe(1);
    expect(log).toHaveLength(first.rows.reduce((sum, { plans }) => sum + plans, 0));
    expect(flattenSchedule(first.rows[0]!)).toMatchObject({ planner: "filterGrained", plans: first.rows[0]!.plans });

    const again = await runSimulations({ ...options, planners, known: first.rows, onRow: () => expect.unreachable() });
    expect(again).toEqual({ rows: first.rows, complete: true });
    const stale = first.rows.map((each) => ({ ...each, run: "another" }));
    const stop = new AbortController();
    stop.abort();
    const stopped = await runSimulations({ ...options, planners, known: stale, signal: stop.signal });
    expect(stopped).toEqual({ rows: [], complete: false });
    const scenario = createScenario({ family: "steady", apps: 2, seed: 0, traces, windows: 2 });
    const series = shareSeriesOf("run", scenario, log.slice(0, first.rows[0]!.plans));
    for (const { shares } of series.points) expect(shares[0]! + shares[1]!).toBeLessThanOrEqual(1 + 1e-9);
  });

  test("growth measures decisions for each number of apps", async () => {
    const rows = await growth({ traces, estimator, apps: [1, 3] });
    expect(rows.map(({ planner, apps }) => [planner, apps])).toEqual([
      ["filterGrained", 1],
      ["filterGrained", 3],
    ]);
    for (const { plans, decisionMs } of rows) {
      expect(plans).toBeGreaterThanOrEqual(10);
      expect(decisionMs.max).toBeGreaterThanOrEqual(decisionMs.median);
    }
  });
});
