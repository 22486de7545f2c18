import { appendFileSync } from "node:fs";
import { METHODS } from "../adapt/index.js";
import {
  type Ablation,
  ABLATION_NAMES,
  benchElastic,
  type ElasticReport,
  type ElasticWorld,
  openDigitsWorld,
  openFolderWorld,
} from "../bench/index.js";
import { LimberError } from "../base/index.js";
import { findCacheFolder, readModelFile, writeFileAtomic } from "../run/node.js";
import { EXIT, type FlagValues, type Outcome, type Surroundings } from "./command.js";
import { formatCount, formatCsv, formatShare, formatTable } from "./format.js";

/** Flags of `limber bench elastic`. */
export const ELASTIC_BENCH_FLAGS = {
  world: { kind: "text", default: "digits", value: "name", help: "elastic: digits, or a folder of domains" },
  model: { kind: "text", value: "file", help: "elastic: the source model of a folder" },
  source: {
    kind: "text",
    value: "domain",
    help: "elastic: the domain of a folder that the model knows; default the first",
  },
  master: {
    kind: "text",
    value: "file",
    help: "elastic: a master of the source model; default: train one, and keep it",
  },
  domains: { kind: "number", default: 30, minimum: 1, help: "elastic: domains of a sequence, in three rounds" },
  seeds: { kind: "number", default: 3, minimum: 1, help: "elastic: sequences" },
  methods: {
    kind: "list",
    default: ["shot-im", "tent"],
    help: `elastic: ElasticDNN uses the first; ${METHODS.flatMap(({ name, labels }) => (labels === "none" ? [name] : [])).join(", ")}`,
  },
  sparsity: {
    kind: "number",
    fraction: true,
    minimum: 0,
    maximum: 0.99,
    default: 0.8,
    help: "elastic: share of channels that a small model is cut by",
  },
  ablations: {
    kind: "list",
    default: ["filters-random", "filters-inverse", "filters-source"],
    help: `elastic: ${ABLATION_NAMES.join(", ")}, or none`,
  },
  images: {
    kind: "number",
    default: 256,
    minimum: 1,
    help: "elastic: images to adapt to in a domain, and to measure on",
  },
  steps: { kind: "number", default: 400, minimum: 1, help: "elastic: training steps of the master" },
} as const;

const BATCH_SIZE = 32;

type ElasticBenchFlags = FlagValues<typeof ELASTIC_BENCH_FLAGS> & {
  readonly rows: string | undefined;
  readonly csv: string | undefined;
};

/** `bench elastic`: small models for each domain beside the same methods on small and large networks. */
export async function runElasticBench(
  flags: ElasticBenchFlags,
  { threads, provider, signal, env, onProgress }: Surroundings,
): Promise<Outcome> {
  const { rows, csv, methods, domains, seeds, sparsity, images, steps } = flags;
  const report = await benchElastic({
    ...{ world: await openWorld(flags), methods, ablations: flags.ablations.flatMap(toAblation) },
    ...{
      domains,
      seeds,
      sparsity,
      images,
      testImages: images,
      batchSize: BATCH_SIZE,
      steps,
      threads,
      provider,
      signal,
      onProgress,
    },
    cacheFolder: findCacheFolder(env),
    master: flags.master === undefined ? undefined : await readModelFile(flags.master),
    onRow: (row) => rows !== undefined && appendFileSync(rows, `${JSON.stringify(row)}\n`),
  });
  if (csv !== undefined) await writeFileAtomic(csv, formatCsv(report.rows.map((row) => ({ ...row }))));
  const { headline, notes, contestants, settings, complete } = report;
  return {
    json: { headline, notes, contestants, settings, complete, rows: report.rows, command: commandLine(flags, threads) },
    text: describeElastic(report),
    exitCode: complete ? EXIT.ok : EXIT.interrupted,
  };
}

/** The command line that repeats the measurement. */
const commandLine = (
  { world, model, source, master, domains, seeds, methods, sparsity, ablations, images, steps }: ElasticBenchFlags,
  threads: number | undefined,
): string =>
  [
    `limber bench elastic --world ${world} --domains ${domains} --seeds ${seeds} --methods ${methods.join(",")}`,
    `--sparsity ${sparsity} --ablations ${ablations.join(",")} --images ${images} --steps ${steps}`,
    ...Object.entries({ model, source, master, threads }).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name} ${value}`],
    ),
  ].join(" ");

function openWorld({ world, model, source }: ElasticBenchFlags): Promise<ElasticWorld> {
  if (world === "digits") return openDigitsWorld();
  if (model !== undefined) return openFolderWorld(world, { modelPath: model, source });
  throw new LimberError("config.invalid", `world "${world}": a source model, got none; give --model`);
}

/** Throws: `config.invalid` */
function toAblation(given: string): Ablation[] {
  if (given === "none") return [];
  const known = ABLATION_NAMES.find((name) => name === given);
  if (known) return [known];
  throw new LimberError("config.invalid", `ablations: of ${ABLATION_NAMES.join(", ")}, none, got "${given}"`);
}

/** Everyone's means, the headline, and what is behind it. */
function describeElastic({ headline, notes, contestants, complete }: ElasticReport): string {
  const points = (value: number | null): string =>
    value === null ? "-" : `${value >= 0 ? "+" : ""}${value.toFixed(2)}`;
  const ratio = (value: number | null): string => (value === null ? "-" : `${value.toFixed(2)} x`);
  const titles = [
    "contestant",
    "stays",
    "online",
    "after",
    "forgets",
    "adapted in",
    "made in",
    "in all",
    "MACs",
    "bytes",
    "elastic is",
  ];
  const cells = contestants.map((each) => [
    ...[each.contestant, String(each.stays), formatShare(each.onlineAccuracy), formatShare(each.afterAccuracy)],
    each.forgetting === null ? "-" : points(100 * each.forgetting),
    ...[each.adaptSeconds, each.generationSeconds, each.wallSeconds].map((seconds) => `${seconds.toFixed(3)} s`),
    ...[formatCount(Math.round(each.macs)), formatCount(Math.round(each.sizeBytes)), points(each.elasticGainPoints)],
  ]);
  return [
    formatTable(titles, cells),
    "",
    `gain over same-size adaptation: ${points(headline.gainPoints)} points; over the best, ${notes.bestSameSize ?? "-"}: ${points(headline.gainOverBestSameSizePoints)}`,
    `adaptation time of the same method on the large network: ${ratio(headline.timeRatioLarge)} ours`,
    `time to the accuracy of the best same-size method: ${ratio(headline.timeToAccuracyRatio)} faster, reached in ${notes.reached} of ${notes.stays} stays`,
    `worst domain beside the frozen source model: ${notes.worstDomain ?? "-"}, ${points(headline.worstVsSourcePoints)} points`,
    ...(complete ? [] : ["", "stopped before the end: these rows are finished"]),
  ].join("\n");
}
