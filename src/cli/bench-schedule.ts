import { appendFile } from "node:fs/promises";
import {
  BASELINES,
  drawScheduleReport,
  flattenSchedule,
  growth,
  type GrowthRow,
  measureBruteForceShare,
  measureKindsServing,
  openRowFile,
  type RealRuns,
  runReal,
  runSimulations,
  type ScheduleHeadline,
  scheduleHeadlineOf,
  type ScheduleRow,
  scheduleRow,
} from "../bench/index.js";
import { LimberError } from "../base/index.js";
import { findCacheFolder, writeFileAtomic } from "../run/node.js";
import {
  fitEstimator,
  type EstimatorJudgement,
  judgeEstimator,
  type KindSet,
  PLANNER_NAMES,
  readKinds,
  readTraces,
  recordTraces,
  SCENARIO_FAMILY_NAMES,
  type ServingReport,
  type Trace,
  WORLD_KINDS,
} from "../schedule/index.js";
import { EXIT, type FlagValues, type Outcome, type Surroundings } from "./command.js";
import { formatCsv, formatShare, formatTable } from "./format.js";

/** Parts of the benchmark. */
const PARTS = ["simulated", "growth", "real", "serving"] as const;

/** Flags of `limber bench schedule` beside those that it shares with other benchmarks. */
export const SCHEDULE_BENCH_FLAGS = {
  parts: { kind: "list", default: PARTS, help: `schedule: of ${PARTS.join(", ")}` },
  planners: { kind: "list", help: `schedule: of ${PLANNER_NAMES.join(", ")}; default all` },
  scenarios: { kind: "list", help: `schedule: of ${SCENARIO_FAMILY_NAMES.join(", ")}; default all` },
  apps: { kind: "numbers", default: [2, 4, 8], help: "schedule: numbers of apps that run together" },
  windows: { kind: "number", minimum: 1, default: 5, help: "schedule: windows of a real run" },
  windowSeconds: { kind: "number", minimum: 1, default: 8, help: "schedule: length of each" },
  appsFrom: {
    kind: "text",
    value: "file",
    help: "schedule: kinds of apps of your own, their data and drifts (docs/scheduler.md); default: those of the embedded world",
  },
  traces: { kind: "text", value: "folder", help: "schedule: recorded apps; default: those that come with Limber" },
  recordTo: { kind: "text", value: "folder", help: "schedule: record apps into this folder, and do nothing else" },
  log: { kind: "text", value: "file", help: "schedule: write every decision of real runs, a JSON value a line" },
} as const;

type ScheduleBenchFlags = FlagValues<typeof SCHEDULE_BENCH_FLAGS> & {
  readonly seeds: number | undefined;
  readonly rows: string | undefined;
  readonly csv: string | undefined;
  readonly chart: string | undefined;
};

interface Headline extends ScheduleHeadline {
  readonly estimator: { readonly mae: number; readonly spearman: number };
  readonly bruteForceShare: number;
  readonly p99Ratio: number | null;
}

/** `bench schedule`: planners through the same scenarios, simulated and on this device. */
export async function runScheduleBench(flags: ScheduleBenchFlags, context: Surroundings): Promise<Outcome> {
  const { threads, signal, onProgress, note, env } = context;
  const kinds = flags.appsFrom === undefined ? WORLD_KINDS : await readKinds(flags.appsFrom, { signal, note });
  if (flags.recordTo !== undefined) {
    const { recordTo: folder, appsFrom } = flags;
    const command = `limber bench schedule${appsFrom === undefined ? "" : ` --apps-from ${appsFrom}`} --record-to ${folder}`;
    const traces = await recordTraces({ folder, kinds: kinds.kinds, command, threads, signal, onProgress });
    const recorded = traces.map(({ kind, drifts }) => ({ kind, drifts: drifts.length }));
    return { json: { recorded }, text: recorded.map(({ kind, drifts }) => `${kind}: ${drifts} drifts`).join("\n") };
  }
  const { seeds = 3, apps, windows } = flags;
  const parts = ofList("parts", flags.parts, PARTS);
  const planners = ofList("planners", flags.planners ?? PLANNER_NAMES, PLANNER_NAMES);
  const families = ofList("scenarios", flags.scenarios ?? SCENARIO_FAMILY_NAMES, SCENARIO_FAMILY_NAMES);
  const traces = await readTraces(flags.traces);
  const estimator = fitEstimator(traces);
  const judged = judgeEstimator(estimator, traces);
  const kept = flags.rows === undefined ? undefined : openRowFile(flags.rows, scheduleRow);
  const running = {
    ...{ traces, planners, seeds, apps, signal, onProgress, known: kept?.rows, cacheFolder: findCacheFolder(env) },
    onRow: (row: ScheduleRow) => kept?.append(row),
  };
  const simulated = parts.includes("simulated")
    ? await runSimulations({ ...running, estimator, families })
    : { rows: [], complete: true };
  const grown = parts.includes("growth") ? await growth({ traces, estimator, signal, onProgress }) : [];
  const real = parts.includes("real") ? await runRealPart({ ...running, kinds }, flags, windows) : undefined;
  const serving = parts.includes("serving") && !signal?.aborted ? await serve(kinds, traces, context) : undefined;
  const rows = [...simulated.rows, ...(real?.rows ?? [])];
  const headline: Headline = {
    ...scheduleHeadlineOf(rows, grown),
    estimator: pick(judged),
    bruteForceShare: measureBruteForceShare().mean,
    p99Ratio: serving?.p99Ratio ?? null,
  };
  const complete = simulated.complete && (real?.complete ?? true);
  const command = commandLine(flags);
  const page = { headline, complete, command, growth: grown, shares: real?.shares, estimates: real?.estimates };
  const cards = cardsOf(headline);
  const files = [
    [flags.csv, () => formatCsv(rows.map(flattenSchedule))],
    [flags.chart, () => drawScheduleReport({ ...page, cards })],
  ] as const;
  for (const [path, write] of files) if (path !== undefined) await writeFileAtomic(path, write());
  return {
    json: { headline, estimator: judged, growth: grown, serving: serving ?? null, rows, complete, command },
    text: describe({ headline, judged, grown, serving, complete }),
    exitCode: complete ? EXIT.ok : EXIT.interrupted,
  };
}

/** Every decision goes into the log as it is made. */
async function runRealPart(
  running: Omit<Parameters<typeof runReal>[0], "windows" | "windowMs">,
  { log, windowSeconds }: ScheduleBenchFlags,
  windows: number,
): Promise<RealRuns> {
  let written = Promise.resolve();
  const real = await runReal({
    ...{ ...running, windows, windowMs: 1000 * windowSeconds },
    onEntry: (place, entry) => {
      if (log === undefined) return;
      const line = `${JSON.stringify({ ...place, ...entry })}\n`;
      written = written.then(() => appendFile(log, line));
    },
  });
  await written;
  return real;
}

async function serve(
  kinds: KindSet,
  traces: readonly Trace[],
  { signal, onProgress, env }: Surroundings,
): Promise<ServingReport> {
  return measureKindsServing(kinds, { traces, signal, onProgress, cacheFolder: findCacheFolder(env) });
}

/** Throws: `config.invalid`. */
function ofList<T extends string>(flag: string, given: readonly string[], known: readonly T[]): readonly T[] {
  const unknown = given.find((name) => !known.some((each) => each === name));
  if (unknown === undefined) return known.filter((name) => given.includes(name));
  throw new LimberError("config.invalid", `${flag}: of ${known.join(", ")}, got "${unknown}"`);
}

/** What the headline says of estimates: those that planners go by, of levels as made and after training. */
const pick = ({ pooled }: EstimatorJudgement): Headline["estimator"] => {
  const { mae, spearman } = pooled.corrected!;
  return { mae, spearman };
};

const orDash = (value: number | null, write: (value: number) => string): string =>
  value === null ? "-" : write(value);

const cardsOf = ({ estimator, bruteForceShare, p99Ratio }: Headline): [string, string][] => [
  [estimator.mae.toFixed(3), "mean error of estimated scores, without labels"],
  [estimator.spearman.toFixed(2), "rank correlation of estimated and true scores"],
  [formatShare(bruteForceShare), "of the best plan of tiny devices"],
  [orDash(p99Ratio, (ratio) => `${ratio.toFixed(2)} x`), "p99 of predictions with training beside, by without"],
];

function commandLine({
  parts,
  planners,
  scenarios,
  apps,
  windows,
  windowSeconds,
  seeds,
  appsFrom,
  traces,
}: ScheduleBenchFlags): string {
  const given = {
    parts,
    planners,
    scenarios,
    apps,
    windows,
    "window-seconds": windowSeconds,
    seeds,
    "apps-from": appsFrom,
    traces,
  };
  const texts = Object.entries(given).flatMap(([key, value]) =>
    value === undefined ? [] : [`--${key} ${typeof value === "object" ? value.join(",") : String(value)}`],
  );
  return ["limber bench schedule", ...texts].join(" ");
}

interface Described {
  readonly headline: Headline;
  readonly judged: EstimatorJudgement;
  readonly grown: readonly GrowthRow[];
  readonly serving: ServingReport | undefined;
  readonly complete: boolean;
}

/** Scenarios, the one where we gain least first; then the rest of the headline. */
function describe({ headline, judged, grown, serving, complete }: Described): string {
  const points = (value: number | null): string => orDash(value, (gain) => `${gain >= 0 ? "+" : ""}${gain.toFixed(2)}`);
  const cells = headline.cells.map(({ mode, scenario, apps, seeds, planners, gainPoints }) => [
    ...[mode, scenario, String(apps), String(seeds)],
    formatShare(planners.find(({ kind }) => kind === "ours")?.score ?? 0),
    ...BASELINES.map((name) => points(gainPoints[name])),
  ]);
  const estimates = Object.entries(judged.pooled).map(([name, { mae, spearman, count }]) => [
    ...[name, mae.toFixed(3), spearman.toFixed(2), String(count)],
  ]);
  return [
    ...(cells.length > 0
      ? [
          formatTable(["mode", "scenario", "apps", "seeds", "ours", ...BASELINES.map((name) => `over ${name}`)], cells),
          "",
        ]
      : []),
    `mean gain: ${BASELINES.map((name) => `${points(headline.gainPoints[name])} over ${name}`).join(", ")} points (paper: +25.91 over its baselines)`,
    `plans over budget: ${headline.overBudget}`,
    `of the best plan of tiny devices: ${formatShare(headline.bruteForceShare)}`,
    "",
    formatTable(["estimate, unseen drifts", "mean error", "rank correlation", "scores"], estimates),
    ...grown.map(
      ({ planner, apps, decisionMs }) => `${planner}, ${apps} apps: ${decisionMs.median.toFixed(2)} ms a decision`,
    ),
    ...(serving
      ? [
          `predictions of ${serving.apps} apps: p99 ${serving.idle.p99Ms.toFixed(1)} ms, ${serving.training.p99Ms.toFixed(1)} ms with training beside (${serving.p99Ratio.toFixed(2)} x)`,
        ]
      : []),
    ...(complete ? [] : ["", "stopped before the end: these rows are finished"]),
  ].join("\n");
}
