import { createHash } from "node:crypto";
import { isLimberError, type LongCall, throwIfAborted } from "../../base/index.js";
import {
  createScenario,
  type Estimator,
  fitEstimator,
  type PlanEntry,
  type PlannerName,
  PLANNERS,
  type Scenario,
  type ScenarioFamily,
  simulate,
  type SimulationReport,
  type Trace,
} from "../../schedule/index.js";
import { timesOf } from "./headline.js";
import { KIND_OF_PLANNER, OURS } from "./planners.js";
import type { GrowthRow, ScheduleRow } from "./rows.js";

export interface SimulationsOptions extends LongCall {
  readonly traces: readonly Trace[];
  /** Default: fitted on the validation drifts of the traces. */
  readonly estimator?: Estimator | undefined;
  readonly planners: readonly PlannerName[];
  readonly families: readonly ScenarioFamily[];
  readonly seeds: number;
  /** Numbers of apps, each a scenario of its own. Default 8. */
  readonly apps?: readonly number[] | undefined;
  readonly windows?: number | undefined;
  /** Rows of an earlier run; what they tell is not simulated again. */
  readonly known?: readonly ScheduleRow[] | undefined;
  readonly onRow?: ((row: ScheduleRow) => void) | undefined;
  /** Every plan, with what it was made for: the log of all decisions. */
  readonly onPlan?: ((place: SimulationPlace, entry: PlanEntry) => void) | undefined;
}

export interface SimulationPlace {
  readonly scenario: string;
  readonly apps: number;
  readonly planner: PlannerName;
  readonly seed: number;
}

/**
 * Every planner through the same scenarios, with the same estimates. When stopped, the rows of what is done come back.
 * Throws: what `simulate` throws, but `aborted`.
 */
export async function runSimulations(
  options: SimulationsOptions,
): Promise<{ readonly rows: readonly ScheduleRow[]; readonly complete: boolean }> {
  const { traces, planners, families, seeds, apps = [8], windows, known = [], signal } = options;
  const { estimator = fitEstimator(traces) } = options;
  const run = fingerprint(traces, estimator, windows);
  const places = families.flatMap((scenario) =>
    apps.flatMap((count) =>
      Array.from({ length: seeds }, (_, seed) =>
        planners.map((planner): SimulationPlace & { readonly scenario: ScenarioFamily } => ({
          ...{ scenario, apps: count, seed, planner },
        })),
      ).flat(),
    ),
  );
  const rows: ScheduleRow[] = [];
  for (const [done, place] of places.entries()) {
    const { scenario: family, seed, planner } = place;
    const isPlace = (row: ScheduleRow): boolean =>
      row.run === run && row.mode === "simulated" && KEYS.every((key) => row[key] === place[key]);
    const finished = known.find(isPlace);
    if (finished) {
      rows.push(finished);
      continue;
    }
    options.onProgress?.({ stage: "bench", done, total: places.length, note: `${family}, ${planner}` });
    const scenario = createScenario({ family, apps: place.apps, seed, traces, windows });
    const startedAt = performance.now();
    try {
      throwIfAborted(signal);
      const report = await simulate(scenario, PLANNERS[planner], {
        ...{ traces, estimator, seed, signal },
        onPlan: (entry) => options.onPlan?.(place, entry),
      });
      if (!report.complete) return { rows, complete: false };
      const row = rowOf(report, { run, planner, scenario, seconds: (performance.now() - startedAt) / 1000 });
      rows.push(row);
      options.onRow?.(row);
    } catch (error) {
      if (!isLimberError(error, "aborted")) throw error;
      return { rows, complete: false };
    }
  }
  return { rows, complete: true };
}

const KEYS = ["scenario", "apps", "planner", "seed"] as const;

interface RowPlace {
  readonly run: string;
  readonly planner: PlannerName;
  readonly scenario: Scenario;
  readonly seconds: number;
}

function rowOf(report: SimulationReport, { run, planner, scenario, seconds }: RowPlace): ScheduleRow {
  const { apps, device, decisionMs } = report;
  const sum = (key: "framesAsked" | "framesServed" | "framesLate" | "steps" | "remodels"): number =>
    apps.reduce((total, app) => total + app[key], 0);
  const learningMs = device.makeMs + device.trainMs + device.trialMs;
  const busyMs = learningMs + device.predictMs;
  return {
    ...{ run, mode: "simulated", scenario: scenario.name, apps: apps.length, windows: scenario.windows },
    ...{ planner, kind: KIND_OF_PLANNER[planner], seed: report.seed },
    ...{ score: report.score, weightedScore: report.weightedScore, worstScore: report.worstScore },
    ...{ framesAsked: sum("framesAsked"), framesServed: sum("framesServed"), framesLate: sum("framesLate") },
    busyShare: Math.min(1, busyMs / (busyMs + device.idleMs)),
    trainingShare: Math.min(1, learningMs / (busyMs + device.idleMs)),
    ...{ steps: sum("steps"), remodels: sum("remodels"), plans: report.plans, overBudget: report.overBudget },
    ...{ decisionMs: timesOf(decisionMs), seconds },
  };
}

export interface GrowthOptions extends LongCall {
  readonly traces: readonly Trace[];
  readonly estimator?: Estimator | undefined;
  /** Default: ours. */
  readonly planners?: readonly PlannerName[] | undefined;
  /** Default 10, 16, 100, 1000, 10000. */
  readonly apps?: readonly number[] | undefined;
}

/** Windows that are planned; the first decision of a process is the slowest. */
const GROWTH_WINDOWS = 5;

/** How the time of a decision grows with the number of apps. Cost: half a minute for 10,000 apps. Throws: as `simulate`. */
export async function growth(options: GrowthOptions): Promise<readonly GrowthRow[]> {
  const { traces, planners = [OURS], apps = [10, 16, 100, 1000, 10_000], signal } = options;
  const { estimator = fitEstimator(traces) } = options;
  const rows: GrowthRow[] = [];
  const total = planners.length * apps.length;
  for (const planner of planners) {
    for (const count of apps) {
      options.onProgress?.({ stage: "growth", done: rows.length, total, note: `${planner}, ${count} apps` });
      const family = "correlated-drifts";
      const scenario = createScenario({
        family,
        apps: count,
        seed: 0,
        traces,
        windows: GROWTH_WINDOWS,
        microWindows: 2,
      });
      const startedAt = performance.now();
      const { decisionMs, plans, complete } = await simulate(scenario, PLANNERS[planner], {
        traces,
        estimator,
        signal,
      });
      if (!complete) return rows;
      const seconds = (performance.now() - startedAt) / 1000;
      rows.push({ planner, apps: count, plans, decisionMs: timesOf(decisionMs), seconds });
    }
  }
  return rows;
}

/** Same traces and estimates, same rows. */
function fingerprint(traces: readonly Trace[], { record }: Estimator, windows: number | undefined): string {
  const hash = createHash("sha256").update(JSON.stringify([traces, record, windows ?? null]));
  return hash.digest("hex").slice(0, 16);
}
