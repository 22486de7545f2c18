import type { LongCall } from "../base/index.js";
import type { SessionOptions } from "../run/node.js";
import {
  filterGrained,
  fitEstimator,
  type KindAppPlan,
  KindApps,
  type LiveEntry,
  readTraces,
  runLive,
  WORLD_KINDS,
} from "../schedule/index.js";
import type { ShareSeries } from "./report/shares.js";
import { ShareRecorder } from "./share-recorder.js";
import type { OnEvent } from "./visit.js";

/** One app in one window. Units: shares in [0, 1]; milliseconds. */
export interface TogetherRow {
  readonly window: number;
  readonly app: string;
  readonly surroundings: string;
  /** Measured on the frames that were served, and what it was thought to be without labels. */
  readonly score: number | null;
  readonly estimated: number | null;
  readonly share: number;
  /** What serves at the end of the window. */
  readonly level: string;
  readonly steps: number;
  readonly latencyP99Ms: number;
}

/** Several apps on one device, under one plan. */
export interface Together {
  readonly rows: readonly TogetherRow[];
  readonly shares: ShareSeries;
  /** Plans, and of these the ones that broke a limit. */
  readonly plans: number;
  readonly overBudget: number;
  readonly decisionMs: number;
}

/** What the three cameras see, window after window. Nightfall comes to two of them at the same time. */
const CAMERAS: readonly Pick<KindAppPlan, "name" | "kind" | "drifts" | "weight">[] = [
  { name: "classification", kind: "classification", drifts: ["fog", "night", "night"] },
  { name: "detection", kind: "detection", drifts: ["dusk", "night", "rain"] },
  { name: "segmentation", kind: "segmentation", drifts: ["night", "night", "fog"] },
];
const [WINDOW_MS, FPS, PICTURES] = [5000, 8, 8];

export interface TogetherOptions extends LongCall, SessionOptions {
  readonly seed: number;
  /** Each of five seconds. Default 3. */
  readonly windows?: number | undefined;
  readonly onEvent: OnEvent;
}

/** A classifier, a detector and a segmenter at work together on this device, in real time. Throws: as `runLive`. */
export async function runTogether({ seed, onEvent, ...options }: TogetherOptions): Promise<Together> {
  const { windows = 3, signal, onProgress, threads } = options;
  const traces = await readTraces();
  await using world = new KindApps({
    ...{ kinds: WORLD_KINDS.kinds, traces },
    pictures: PICTURES,
    sparsityStep: 0.2,
    priority: "normal", // so that the demo ends in time on a busy machine
    threads,
    signal,
    onProgress,
  });
  const apps = await world.open(
    CAMERAS.map((camera) => ({ ...camera, driftMs: WINDOW_MS, fps: FPS })),
    seed,
  );
  const recorder = new ShareRecorder(apps);
  try {
    const report = await runLive(apps, {
      ...{ planner: filterGrained(), estimator: fitEstimator(traces), windows, seed, signal },
      ...{ device: { windowMs: WINDOW_MS, microWindows: 2, memoryBytes: 2 ** 30 }, onProgress },
      journal: (entry: LiveEntry) => {
        recorder.add(entry);
        const { kind, atMs, ...rest } = entry;
        onEvent(`together-${kind}`, { atMs, ...rest });
      },
    });
    const rows = report.windows.flatMap(({ window, apps: seen }) =>
      seen.map(({ app: name, score, estimated, usedShare, level, steps, latency }): TogetherRow => {
        const { drifts } = CAMERAS.find((camera) => camera.name === name)!;
        const { levels } = apps.find(({ app }) => app.name === name)!.app;
        return {
          ...{ window: window + 1, app: name, surroundings: drifts[window] ?? drifts.at(-1)! },
          ...{ score: score ?? null, estimated: estimated ?? null, share: usedShare },
          ...{ level: level === undefined ? "none" : levels[level]!.name, steps, latencyP99Ms: latency.p99Ms },
        };
      }),
    );
    const { plans, overBudget, decisionMs, elapsedMs } = report;
    const mean = decisionMs.reduce((sum, ms) => sum + ms, 0) / Math.max(1, decisionMs.length);
    return { rows, shares: recorder.series("", elapsedMs), plans, overBudget, decisionMs: mean };
  } finally {
    for (const { app } of apps) await app[Symbol.asyncDispose]();
  }
}
