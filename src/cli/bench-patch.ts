import { availableParallelism } from "node:os";
import {
  benchPatch,
  counterPath,
  type CountLessons,
  drawPatchReport,
  flattenPatch,
  learnCounter,
  nameCell,
  openDataScene,
  openRowFile,
  openWorldScenes,
  PATCH_CONTESTANT_NAMES,
  PATCH_CONTESTANTS,
  type PatchReport,
  patchRow,
  PLATFORMS,
  type Scene,
} from "../bench/index.js";
import { LimberError } from "../base/index.js";
import { WORLD_LINE_PATH } from "../demo/index.js";
import { writeModel } from "../graph/index.js";
import { writeFileAtomic } from "../run/node.js";
import { readDataset } from "../vision/index.js";
import { SEVERITIES } from "../vision/corrupt/index.js";
import { EXIT, type FlagValues, type Outcome, type Surroundings } from "./command.js";
import { expandCorruptions } from "./corruptions.js";
import { formatCsv, formatShare, formatTable } from "./format.js";
import { openImageModel, type PreprocessingFlags } from "./model.js";

const BATCH_SIZE = 16;
/** Those that the headline needs, and the strongest others. */
const DEFAULT_CONTESTANTS = [
  ...["frozen", "patchline", "full", "full-short", "conv-lora-short", "statistics", "patches-cold"],
  ...["only-patches", "only-warm", "only-selection"],
];

/** Who says how many patches a drift takes. */
const COUNTS = ["fixed", "predictor", "learn"] as const;

/** Flags of `limber bench patch` beside those that it shares with other benchmarks. */
export const PATCH_BENCH_FLAGS = {
  models: { kind: "list", value: "file", help: "patch: models of a data set that run beside each other" },
  lines: {
    kind: "text",
    value: "folder",
    help: "patch: where the models of the world lie, <backbone>-<task>.onnx; default: those that come with Limber",
  },
  domainsBy: {
    kind: "text",
    value: "tag",
    help: "patch: a tag of the pictures of a data set whose values are its domains",
  },
  backbones: { kind: "list", help: "patch: only these of them" },
  contestants: {
    kind: "list",
    default: DEFAULT_CONTESTANTS,
    help: `patch: ${PATCH_CONTESTANT_NAMES.join(", ")}, or all`,
  },
  count: {
    kind: "text",
    choices: COUNTS,
    help: "patch: how many patches a model gets at first: fixed, as --patches says; predictor, by the network <backbone>-count.onnx beside the models; learn, the same, trained first; default: predictor where it is, else fixed",
  },
  patches: { kind: "number", minimum: 1, default: 3, help: "patch: patches of a model at first, where nobody counts" },
  platform: {
    kind: "text",
    choices: PLATFORMS,
    default: "node",
    help: "patch: where steps run; wasm is a Chromium without a window, on onnxruntime-web",
  },
  jobs: {
    kind: "number",
    minimum: 1,
    help: "patch: contestants that run at a time, each with its threads; default: as many as there are processors for",
  },
  pool: { kind: "number", minimum: BATCH_SIZE, default: 192, help: "patch: labelled images of a drift that may train" },
  held: { kind: "number", minimum: 1, default: 96, help: "patch: labelled images that tell when to stop" },
  epochs: { kind: "number", minimum: 1, default: 10, help: "patch: most passes over them" },
} as const;

type PatchBenchFlags = FlagValues<typeof PATCH_BENCH_FLAGS> &
  PreprocessingFlags & {
    readonly world: string;
    readonly source: string | undefined;
    readonly drifts: readonly string[] | undefined;
    readonly corrupt: readonly string[] | undefined;
    readonly severity: string;
    readonly record: readonly string[] | undefined;
    readonly seeds: number | undefined;
    readonly images: number;
    readonly rows: string | undefined;
    readonly csv: string | undefined;
    readonly chart: string | undefined;
  };

/** `bench patch`: PatchLine beside other ways to fine-tune, on models that follow drifts. */
export async function runPatchBench(flags: PatchBenchFlags, context: Surroundings): Promise<Outcome> {
  const { threads, provider, signal, onProgress } = context;
  const { seeds = 1, images, pool, held, epochs, patches, platform } = flags;
  const { jobs = jobsFor(threads) } = flags;
  const kept = flags.rows === undefined ? undefined : openRowFile(flags.rows, patchRow);
  const { scenes, counting } = await withCounters(await openScenes(flags, context), { ...flags, jobs }, context);
  const report = await benchPatch({
    scenes,
    ...{ contestants: contestantsOf(flags.contestants), patches, platform },
    ...{
      seeds,
      testImages: images,
      pool,
      held,
      epochs,
      batchSize: BATCH_SIZE,
      jobs,
      threads,
      provider,
      signal,
      onProgress,
    },
    known: kept?.rows,
    onRow: (row) => kept?.append(row),
  });
  const command = commandLine(flags, threads);
  const files = [
    [flags.csv, () => formatCsv(report.rows.map(flattenPatch))],
    [flags.chart, () => drawPatchReport(report, command)],
  ] as const;
  for (const [path, write] of files) if (path !== undefined) await writeFileAtomic(path, write());
  return {
    json: { ...report, counting, command },
    text: [describePatch(report), ...counting.map(describeCounting)].join("\n\n"),
    exitCode: report.complete ? EXIT.ok : EXIT.interrupted,
  };
}

/** By default a session takes half of the processors. */
function jobsFor(threads: number | undefined): number {
  const processors = availableParallelism();
  return Math.max(1, Math.floor(processors / (threads ?? Math.max(1, Math.floor(processors / 2)))));
}

async function openScenes(flags: PatchBenchFlags, context: Surroundings): Promise<readonly Scene[]> {
  const { world, models, source, drifts, corrupt, severity, record, domainsBy, images: testImages, backbones } = flags;
  if (world === "digits") return openWorldScenes(flags.lines ?? WORLD_LINE_PATH, { backbones, drifts, testImages });
  if (!models) {
    const message = `world "${world}": the models that see it, got none; give --models`;
    throw new LimberError("config.invalid", message);
  }
  const opened = [];
  for (const path of models)
    opened.push(await openImageModel(path, { ...flags, externalData: false, batch: BATCH_SIZE }, context));
  const dataset = await readDataset(world, { record, domainsBy, signal: context.signal });
  const scene = openDataScene(dataset, {
    ...{ name: dataset.name, models: opened, source, drifts, testImages },
    corruptions: corrupt && expandCorruptions(corrupt),
    severity: SEVERITIES.find((level) => String(level) === severity),
  });
  return [scene];
}

/** What the network of a backbone has learnt, where it was told to. */
interface Counting extends Omit<CountLessons, "model"> {
  readonly backbone: string;
}

/** The scenes with the networks that count for them, or without. Throws: `config.invalid` where one is asked for and is not there. */
async function withCounters(
  scenes: readonly Scene[],
  { count, world, lines = WORLD_LINE_PATH, jobs }: PatchBenchFlags & { readonly jobs: number },
  { threads, signal, onProgress, note }: Surroundings,
): Promise<{ readonly scenes: readonly Scene[]; readonly counting: readonly Counting[] }> {
  if (count === "fixed") return { scenes: scenes.map((scene) => ({ ...scene, counter: undefined })), counting: [] };
  const missing = scenes.find(({ counter }) => counter === undefined);
  if (count === "predictor" && missing) {
    const message = `count: a network that counts patches for ${missing.backbone}, got none; --count learn trains one`;
    throw new LimberError("config.invalid", message, { backbone: missing.backbone });
  }
  if (count !== "learn") return { scenes, counting: [] };
  const [taught, counting]: [Scene[], Counting[]] = [[], []];
  for (const scene of scenes) {
    const { model, ...lessons } = await learnCounter(scene, { threads, jobs, signal, onProgress });
    taught.push({ ...scene, counter: model });
    counting.push({ backbone: scene.backbone, ...lessons });
    if (world !== "digits") continue;
    const path = counterPath(lines, scene.backbone);
    await writeFileAtomic(path, writeModel(model));
    note(`written: ${path}`);
  }
  return { scenes: taught, counting };
}

/** Throws: `config.invalid`. */
function contestantsOf(names: readonly string[]): typeof PATCH_CONTESTANTS {
  if (names.join() === "all") return PATCH_CONTESTANTS;
  const unknown = names.find((name) => !PATCH_CONTESTANT_NAMES.includes(name));
  if (unknown === undefined) return PATCH_CONTESTANTS.filter(({ name }) => names.includes(name));
  const message = `contestants: of ${PATCH_CONTESTANT_NAMES.join(", ")}, got "${unknown}"`;
  throw new LimberError("config.invalid", message);
}

const REPEATED = [
  ...["world", "models", "lines", "backbones", "record", "source", "drifts", "corrupt"],
  ...["seeds", "images", "pool", "held", "epochs", "count", "patches", "platform", "contestants"],
] as (keyof PatchBenchFlags)[];

/** The command line that repeats the measurement. */
function commandLine(flags: PatchBenchFlags, threads: number | undefined): string {
  const given = [...REPEATED.map((key) => [key, flags[key]] as const), ["threads", threads] as const];
  const texts = given.flatMap(([key, value]) =>
    value === undefined ? [] : [`--${key} ${typeof value === "object" ? value.join(",") : String(value)}`],
  );
  return ["limber bench patch", ...texts].join(" ");
}

/** What each drift takes, and how well that is told from the pictures of one that was not learnt from. */
function describeCounting({ backbone, needs, unseen }: Counting): string {
  const head = ["drift", "patches", ...needs[0]!.scores.map((_, count) => `score of ${count}`), "MACs of each"];
  const rows = needs.map(({ drift, count, scores, macs }) => [
    ...[
      drift,
      String(count),
      ...scores.map(formatShare),
      macs.map((each) => `${(each / 1e9).toFixed(1)} G`).join(", "),
    ],
  ]);
  const matrix = unseen.matrix.map((row) => row.join(", ")).join(" / ");
  return [
    `how many patches ${backbone} takes:`,
    formatTable(head, rows),
    `told right of drifts under other corruptions: ${formatShare(unseen.top1)} of ${unseen.samples}; truth by answer ${matrix}`,
  ].join("\n");
}

/** Everyone in each cell, then the headline. */
function describePatch({ headline, complete }: PatchReport): string {
  const reduction = (value: number | null): string => (value === null ? "-" : formatShare(value));
  const points = (value: number | null): string =>
    value === null ? "-" : `${value >= 0 ? "+" : ""}${value.toFixed(2)}`;
  const rows = headline.cells.flatMap((cell) =>
    cell.contestants.map(({ contestant, score, macs, seconds }) => [
      ...[nameCell(cell), contestant, formatShare(cell.sourceScore), formatShare(score)],
      ...[`${(macs / 1e9).toFixed(2)} G`, `${seconds.toFixed(2)} s`],
    ]),
  );
  const { byTechnique } = headline;
  return [
    formatTable(["cell", "contestant", "source", "score", "MACs a drift", "time a drift"], rows),
    "",
    ...headline.cells.map(
      (cell) =>
        `${nameCell(cell)}: ${reduction(cell.costReduction)} less work than ${cell.bestBaseline ?? "-"}, ${points(cell.accuracyVsFullPoints)} points beside full fine-tuning`,
    ),
    `mean: ${reduction(headline.costReduction)} less work (paper: 55 %), ${points(headline.accuracyVsFullPoints)} points beside full fine-tuning`,
    `each technique alone, beside all patches from nothing: patches ${reduction(byTechnique.patches)}, warm starts ${reduction(byTechnique.warm)}, selection ${reduction(byTechnique.selection)} less`,
    ...(complete ? [] : ["", "stopped before the end: these rows are finished"]),
  ].join("\n");
}
