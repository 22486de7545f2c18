import { createHash } from "node:crypto";
import { isLimberError, LimberError, type LongCall, Random, throwIfAborted } from "../../base/index.js";
import { ShareRecorder, type ShareSeries } from "../../demo/index.js";
import {
  type Estimator,
  fitEstimator,
  type KindAppPlan,
  KindApps,
  type KindSet,
  type LiveEntry,
  type LiveReport,
  measureServing,
  type PlannerName,
  PLANNERS,
  runLive,
  type ServingReport,
  type Trace,
} from "../../schedule/index.js";
import { timesOf } from "./headline.js";
import type { EstimatePoint } from "./page-charts.js";
import { KIND_OF_PLANNER, OURS } from "./planners.js";
import type { ScheduleRow } from "./rows.js";

export interface RealOptions extends LongCall {
  readonly kinds: KindSet;
  /** What estimates are fitted on: one of each kind. */
  readonly traces: readonly Trace[];
  readonly planners: readonly PlannerName[];
  readonly seeds: number;
  /** Numbers of apps; their tasks take turns. */
  readonly apps: readonly number[];
  readonly windows: number;
  readonly windowMs: number;
  /** Where profiles are kept. Default: the user's cache folder. */
  readonly cacheFolder?: string | undefined;
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

const MICRO_WINDOWS = 2;

/**
 * Every planner runs the same real apps on this device through the same drifts of its world, another one for each app and window.
 * When stopped, the rows of what is done come back. Throws: as `runLive`, but `aborted`.
 */
export async function runReal(options: RealOptions): Promise<RealRuns> {
  const { traces, planners, seeds, apps, windows, known = [], signal, onProgress } = options;
  const { cacheFolder } = options;
  const { world, kinds } = options.kinds;
  const estimator = fitEstimator(traces);
  const run = fingerprint(options);
  const places = apps.flatMap((count) =>
    Array.from({ length: seeds }, (_, seed) =>
      // who runs first pays for what a process does for the first time: another one with each seed
      planners.map((_, i): RealPlace => ({ apps: count, planner: planners[(i + seed) % planners.length]!, seed })),
    ).flat(),
  );
  const [rows, shares, estimates]: [ScheduleRow[], ShareSeries[], EstimatePoint[]] = [[], [], []];
  await using opened = new KindApps({ kinds, traces, cacheFolder, signal, onProgress });
  const all = (complete: boolean): RealRuns => ({ rows, shares, estimates, complete });
  for (const [done, place] of places.entries()) {
    const finished = known.find(
      (row) => row.run === run && row.mode === "real" && KEYS.every((key) => row[key] === place[key]),
    );
    if (finished) {
      rows.push(finished);
      continue;
    }
    onProgress?.({ stage: "real", done, total: places.length, note: `${place.apps} apps, ${place.planner}` });
    try {
      throwIfAborted(signal);
      const { report, series } = await runOnce(place, opened, estimator, options);
      if (!report.complete) return all(false);
      const row = rowOf(report, { run, place, world, windows });
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

/** The cameras of one run: a drift for each window, after a moment at the source; kinds with fewer drifts meet them again. */
export function planApps(
  { kinds }: Pick<KindSet, "kinds">,
  { apps: count, seed, windows, windowMs }: Pick<RealOptions, "windows" | "windowMs"> & Omit<RealPlace, "planner">,
): KindAppPlan[] {
  return Array.from({ length: count }, (_, i) => {
    const { name, drifts, camera } = kinds[i % kinds.length]!;
    const order = new Random(seed).fork(`app ${i}`).shuffled(drifts);
    return {
      ...{ name: `${name} ${Math.floor(i / kinds.length) + 1}`, kind: name, driftMs: windowMs, fps: camera.fps },
      drifts: Array.from({ length: windows }, (_, window) => order[window % order.length]!),
    };
  });
}

async function runOnce(
  place: RealPlace,
  opened: KindApps,
  estimator: Estimator,
  { kinds, windows, windowMs, signal, onEntry }: RealOptions,
): Promise<{ report: LiveReport; series: ShareSeries }> {
  const { apps: count, planner, seed } = place;
  const apps = await opened.open(planApps(kinds, { ...place, windows, windowMs }), seed);
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
  { run, place, world, windows }: { run: string; place: RealPlace; world: string; windows: number },
): ScheduleRow {
  const { apps, device, decisionMs, elapsedMs } = report;
  const sum = (key: "framesAsked" | "framesServed" | "framesLate" | "steps" | "remodels"): number =>
    apps.reduce((total, app) => total + app[key], 0);
  const learningMs = device.makeMs + device.trainMs + device.trialMs;
  return {
    ...{ run, mode: "real", scenario: world, windows, ...place, kind: KIND_OF_PLANNER[place.planner] },
    ...{ score: report.score!, weightedScore: report.weightedScore!, worstScore: report.worstScore! },
    ...{ framesAsked: sum("framesAsked"), framesServed: sum("framesServed"), framesLate: sum("framesLate") },
    busyShare: Math.min(1, (learningMs + device.predictMs) / elapsedMs),
    trainingShare: Math.min(1, learningMs / elapsedMs),
    ...{ steps: sum("steps"), remodels: sum("remodels"), plans: report.plans, overBudget: report.overBudget },
    ...{ decisionMs: timesOf(decisionMs), seconds: elapsedMs / 1000 },
  };
}

/** How much slower the predictions of four apps are while all of them train. Throws: as `measureServing`. */
export async function measureKindsServing(
  { world, kinds }: KindSet,
  { traces, ...options }: LongCall & Pick<RealOptions, "traces" | "cacheFolder">,
): Promise<ServingReport> {
  // without any patch a step takes no time
  const steady = kinds.filter(({ name }) =>
    traces.some(({ kind, levels }) => kind === name && levels[0]!.sparsity !== undefined),
  );
  if (steady.length === 0) {
    const message = `serving: kinds with a master, got ${kinds.map(({ name }) => name).join(", ")} of ${world}; leave it out of --parts`;
    throw new LimberError("config.invalid", message, { world });
  }
  await using opened = new KindApps({ kinds, traces, pictures: 1, sparsityStep: 0.4, ...options });
  const plans = planApps({ kinds: steady }, { apps: 4, seed: 0, windows: 1, windowMs: 60_000 });
  const apps = await opened.open(plans, 0);
  try {
    return await measureServing(apps, options);
  } finally {
    for (const { app } of apps) await app[Symbol.asyncDispose]();
  }
}

/** Same kinds, traces and windows, same rows. */
function fingerprint({ kinds: { world, kinds }, traces, windows, windowMs }: RealOptions): string {
  const cameras = kinds.map(({ name, drifts, camera, batchSize }) => ({ name, drifts, camera, batchSize }));
  const hash = createHash("sha256").update(JSON.stringify([world, cameras, traces, windows, windowMs, MICRO_WINDOWS]));
  return hash.digest("hex").slice(0, 16);
}
