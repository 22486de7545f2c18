import { createHash } from "node:crypto";
import { isLimberError, type LongCall, Random, throwIfAborted } from "../../base/index.js";
import { ShareRecorder, type ShareSeries, type WorldAppPlan, WorldApps } from "../../demo/index.js";
import {
  type Estimator,
  fitEstimator,
  type LiveEntry,
  type LiveReport,
  measureServing,
  type PlannerName,
  PLANNERS,
  runLive,
  type ServingReport,
  type Trace,
  TRACE_KINDS,
  type TraceKind,
} from "../../schedule/index.js";
import { WORLD_DOMAINS } from "../../vision/index.js";
import { timesOf } from "./headline.js";
import type { EstimatePoint } from "./page-charts.js";
import { KIND_OF_PLANNER, OURS } from "./planners.js";
import type { ScheduleRow } from "./rows.js";

export interface RealOptions extends LongCall {
  /** What estimates are fitted on. */
  readonly traces: readonly Trace[];
  readonly planners: readonly PlannerName[];
  readonly seeds: number;
  /** Numbers of apps; their tasks take turns. */
  readonly apps: readonly number[];
  readonly windows: number;
  readonly windowMs: number;
  readonly known?: readonly ScheduleRow[] | undefined;
  readonly onRow?: ((row: ScheduleRow) => void) | undefined;
  readonly onEntry?: ((place: RealPlace, entry: LiveEntry) => void) | undefined;
}

export interface RealPlace {
  readonly apps: number;
  readonly planner: PlannerName;
  readonly seed: number;
}

export interface RealRuns {
  readonly rows: readonly ScheduleRow[];
  /** Of the first seed, with our planner. */
  readonly shares: readonly ShareSeries[];
  /** What scores were thought to be, and were, window by window. */
  readonly estimates: readonly EstimatePoint[];
  readonly complete: boolean;
}

/** Frames of a second, and pictures of a frame: together enough that sizes matter to a small device. */
const [FPS, PICTURES] = [8, 16];
const SCENARIO = "embedded world";
const MICRO_WINDOWS = 2;

/**
 * Every planner runs the same real apps on this device through the same drifts of the embedded world, another one for each app and window.
 * When stopped, the rows of what is done come back. Throws: as `runLive`, but `aborted`.
 */
export async function runReal(options: RealOptions): Promise<RealRuns> {
  const { traces, planners, seeds, apps, windows, windowMs, known = [], signal } = options;
  const estimator = fitEstimator(traces);
  const run = fingerprint(traces, windows, windowMs);
  const places = apps.flatMap((count) =>
    Array.from({ length: seeds }, (_, seed) =>
      // who runs first pays for what a process does for the first time: another one with each seed
      planners.map((_, i): RealPlace => ({ apps: count, planner: planners[(i + seed) % planners.length]!, seed })),
    ).flat(),
  );
  const [rows, shares, estimates]: [ScheduleRow[], ShareSeries[], EstimatePoint[]] = [[], [], []];
  await using world = new WorldApps({ pictures: PICTURES, signal, onProgress: options.onProgress });
  const all = (complete: boolean): RealRuns => ({ rows, shares, estimates, complete });
  for (const [done, place] of places.entries()) {
    const finished = known.find(
      (row) => row.run === run && row.mode === "real" && KEYS.every((key) => row[key] === place[key]),
    );
    if (finished) {
      rows.push(finished);
      continue;
    }
    options.onProgress?.({ stage: "real", done, total: places.length, note: `${place.apps} apps, ${place.planner}` });
    try {
      throwIfAborted(signal);
      const { report, series } = await runOnce(place, world, estimator, options);
      if (!report.complete) return all(false);
      const row = rowOf(report, { run, place, windows });
      rows.push(row);
      options.onRow?.(row);
      estimates.push(...estimatesOf(report));
      if (place.seed === 0 && place.planner === OURS) shares.push(series);
    } catch (error) {
      if (!isLimberError(error, "aborted")) throw error;
      return all(false);
    }
  }
  return all(true);
}

const KEYS = ["apps", "planner", "seed"] as const;

/** The cameras of one run: a drift for each window, after a moment at the source. */
export function planWorldApps(
  count: number,
  seed: number,
  windows: number,
  windowMs: number,
  kinds: readonly TraceKind[] = TRACE_KINDS,
): WorldAppPlan[] {
  const names = WORLD_DOMAINS.map(({ name }) => name).filter((name) => name !== "day");
  return Array.from({ length: count }, (_, i) => {
    const kind = kinds[i % kinds.length]!;
    const drifts = new Random(seed).fork(`app ${i}`).shuffled(names).slice(0, windows);
    return { name: `${kind} ${Math.floor(i / kinds.length) + 1}`, kind, drifts, driftMs: windowMs, fps: FPS };
  });
}

async function runOnce(
  place: RealPlace,
  world: WorldApps,
  estimator: Estimator,
  { windows, windowMs, signal, onEntry }: RealOptions,
): Promise<{ report: LiveReport; series: ShareSeries }> {
  const { apps: count, planner, seed } = place;
  const apps = await world.open(planWorldApps(count, seed, windows, windowMs), seed);
  const recorder = new ShareRecorder(apps);
  try {
    const report = await runLive(apps, {
      ...{ planner: PLANNERS[planner], estimator, windows, seed, signal },
      device: { windowMs, microWindows: MICRO_WINDOWS, memoryBytes: 2 ** 31 },
      journal: (entry) => {
        recorder.add(entry);
        onEntry?.(place, entry);
      },
    });
    return { report, series: recorder.series(`${count} apps in real time`, report.elapsedMs) };
  } finally {
    for (const { app } of apps) await app[Symbol.asyncDispose]();
  }
}

const estimatesOf = ({ apps, windows }: LiveReport): EstimatePoint[] => {
  const kindOf = new Map(apps.map(({ app, kind }) => [app, kind]));
  return windows.flatMap((window) =>
    window.apps.flatMap(({ app, score, estimated }) =>
      score === undefined || estimated === undefined ? [] : [{ kind: kindOf.get(app)!, estimated, measured: score }],
    ),
  );
};

function rowOf(
  report: LiveReport,
  { run, place, windows }: { run: string; place: RealPlace; windows: number },
): ScheduleRow {
  const { apps, device, decisionMs, elapsedMs } = report;
  const sum = (key: "framesAsked" | "framesServed" | "framesLate" | "steps" | "remodels"): number =>
    apps.reduce((total, app) => total + app[key], 0);
  const learningMs = device.makeMs + device.trainMs + device.trialMs;
  return {
    ...{ run, mode: "real", scenario: SCENARIO, windows, ...place, kind: KIND_OF_PLANNER[place.planner] },
    ...{ score: report.score!, weightedScore: report.weightedScore!, worstScore: report.worstScore! },
    ...{ framesAsked: sum("framesAsked"), framesServed: sum("framesServed"), framesLate: sum("framesLate") },
    busyShare: Math.min(1, (learningMs + device.predictMs) / elapsedMs),
    trainingShare: Math.min(1, learningMs / elapsedMs),
    ...{ steps: sum("steps"), remodels: sum("remodels"), plans: report.plans, overBudget: report.overBudget },
    ...{ decisionMs: timesOf(decisionMs), seconds: elapsedMs / 1000 },
  };
}

/** How much slower the predictions of four apps are while all of them train. Throws: as `measureServing`. */
export async function measureWorldServing(options: LongCall = {}): Promise<ServingReport> {
  await using world = new WorldApps({ pictures: 1, sparsityStep: 0.4, ...options });
  // a step without any patch takes no time
  const kinds = TRACE_KINDS.filter((kind) => !kind.startsWith("patch"));
  const apps = await world.open(planWorldApps(4, 0, 1, 60_000, kinds), 0);
  try {
    return await measureServing(apps, options);
  } finally {
    for (const { app } of apps) await app[Symbol.asyncDispose]();
  }
}

function fingerprint(traces: readonly Trace[], windows: number, windowMs: number): string {
  const hash = createHash("sha256").update(JSON.stringify([traces, windows, windowMs, FPS, PICTURES, MICRO_WINDOWS]));
  return hash.digest("hex").slice(0, 16);
}
