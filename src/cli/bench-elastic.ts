import { dirname } from "node:path";
import { METHODS } from "../adapt/index.js";
import {
  type Ablation,
  ABLATION_NAMES,
  benchElastic,
  drawElasticReport,
  type ElasticReport,
  elasticRow,
  type ElasticWorld,
  flattenElastic,
  openDataWorld,
  openDigitsWorld,
  openRowFile,
} from "../bench/index.js";
import { LimberError } from "../base/index.js";
import { WORLD_MASTER_PATH } from "../demo/index.js";
import { findCacheFolder, writeFileAtomic } from "../run/node.js";
import { SEVERITIES } from "../vision/corrupt/index.js";
import { EXIT, type FlagValues, type Outcome, type Surroundings } from "./command.js";
import { expandCorruptions } from "./corruptions.js";
import { formatCount, formatCsv, formatShare, formatTable } from "./format.js";
import { openClassifier, PREPROCESSING_FLAGS } from "./model.js";

const BATCH_SIZE = 32;
const SPARSITY = 0.8;

/** Flags of `limber bench elastic`. */
export const ELASTIC_BENCH_FLAGS = {
  world: { kind: "text", default: "digits", value: "name", help: "elastic: digits, or the path of a data set" },
  model: { kind: "text", value: "file", help: "elastic: the source model of a data set" },
  ...PREPROCESSING_FLAGS,
  record: { kind: "list", value: "3x32x32", help: "elastic: records: size of one image" },
  source: {
    kind: "text",
    value: "domain",
    help: "elastic: the domain of a data set that the model knows; default the first",
  },
  drifts: { kind: "list", help: "elastic: the domains of a data set to come; default all others" },
  corrupt: { kind: "list", help: "elastic: corrupt those domains in each of these ways; reported: the 15 of papers" },
  severity: {
    kind: "text",
    choices: ["1", "2", "3", "4", "5"],
    value: "level",
    default: "5",
    help: "elastic: how strong",
  },
  trained: {
    kind: "text",
    value: "folder",
    help: "elastic: where master.onnx and small.onnx lie, or go once trained; default: those of digits come with Limber, others are kept in the cache",
  },
  flip: { kind: "boolean", help: "elastic: train them on mirrored images too" },
  shift: { kind: "number", minimum: 0, default: 0, help: "elastic: and on images shifted by up to this many pixels" },
  domains: { kind: "number", default: 30, minimum: 1, help: "elastic: domains of a sequence, in three rounds" },
  seeds: { kind: "number", minimum: 1, help: "elastic: sequences, default 3; patch: draws of the samples, default 1" },
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
    default: SPARSITY,
    help: "elastic: share of channels that a small model is cut by",
  },
  ablations: {
    kind: "list",
    default: ["filters-random", "filters-inverse", "filters-source"],
    help: `elastic: ${ABLATION_NAMES.join(", ")}, or none`,
  },
  images: {
    kind: "number",
    default: 160,
    minimum: 1,
    help: "elastic: images to adapt to in a domain, and to measure on",
  },
  steps: { kind: "number", minimum: 1, help: "elastic: train them for so many steps of the master; default 750" },
  curve: { kind: "number", minimum: 1, help: "elastic: measure accuracy after every so many steps of adaptation" },
} as const;

type ElasticBenchFlags = FlagValues<typeof ELASTIC_BENCH_FLAGS> & {
  readonly rows: string | undefined;
  readonly csv: string | undefined;
  readonly chart: string | undefined;
};

/** `bench elastic`: small models for each domain beside the same methods on small and large networks. */
export async function runElasticBench(flags: ElasticBenchFlags, context: Surroundings): Promise<Outcome> {
  const { threads, provider, signal, env, onProgress } = context;
  const { methods, domains, seeds = 3, sparsity, images, steps, curve } = flags;
  const ablations = flags.ablations.flatMap(toAblation);
  const kept = flags.rows === undefined ? undefined : openRowFile(flags.rows, elasticRow);
  const report = await benchElastic({
    ...{ world: await openWorld(flags, context), methods, ablations, domains, seeds, sparsity },
    ...{ images, testImages: images, batchSize: BATCH_SIZE, steps, curve, threads, provider, signal, onProgress },
    cacheFolder: findCacheFolder(env),
    trained: flags.trained ?? shippedFor(flags),
    known: kept?.rows,
    onRow: (row) => kept?.append(row),
  });
  const command = commandLine(flags, threads);
  const files = [
    [flags.csv, () => formatCsv(report.rows.map(flattenElastic))],
    [flags.chart, () => drawElasticReport(report, command)],
  ] as const;
  for (const [path, write] of files) if (path !== undefined) await writeFileAtomic(path, write());
  return {
    json: { ...report, command },
    text: describeElastic(report),
    exitCode: report.complete ? EXIT.ok : EXIT.interrupted,
  };
}

/** What a run depends on, in the order in which it is given. */
const REPEATED = [
  ...[
    "world",
    "model",
    "record",
    "source",
    "drifts",
    "corrupt",
    "severity",
    "trained",
    "flip",
    "shift",
    "domains",
    "seeds",
    "methods",
  ],
  ...["sparsity", "ablations", "images", "steps", "curve"],
  ...["preset", "size", "scale", "mean", "std", "color", "resize", "cropRatio"],
] as const satisfies readonly (keyof typeof ELASTIC_BENCH_FLAGS)[];

/** The command line that repeats the measurement. */
function commandLine(flags: ElasticBenchFlags, threads: number | undefined): string {
  const given = [...REPEATED.map((key) => [key, flags[key]] as const), ["threads", threads] as const];
  const texts = given.flatMap(([key, value]) => {
    if (value === undefined || value === false || (key === "severity" && flags.corrupt === undefined)) return [];
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (value === true) return [`--${name}`];
    return [`--${name} ${typeof value === "object" ? value.join(key === "size" ? "x" : ",") : value}`];
  });
  return ["limber bench elastic", ...texts].join(" ");
}

/** The networks that come with Limber suit the embedded world at the sparsity that they were made for. */
const shippedFor = ({ world, sparsity, steps }: ElasticBenchFlags): string | undefined =>
  world === "digits" && sparsity === SPARSITY && steps === undefined ? dirname(WORLD_MASTER_PATH) : undefined;

async function openWorld(flags: ElasticBenchFlags, context: Surroundings): Promise<ElasticWorld> {
  const { world, model: path, source, drifts, record } = flags;
  if (world === "digits") return openDigitsWorld();
  if (path === undefined) {
    const message = `world "${world}": a source model, got none; give --model, or make one with limber train --network`;
    throw new LimberError("config.invalid", message);
  }
  const opened = await openClassifier(path, { ...flags, externalData: false, batch: BATCH_SIZE }, context);
  return openDataWorld(world, {
    ...{ model: opened.model, preprocessing: opened.preprocessing, record, source, drifts, signal: context.signal },
    corruptions: flags.corrupt && expandCorruptions(flags.corrupt),
    augment: { flip: flags.flip, shift: flags.shift },
    severity: SEVERITIES.find((level) => String(level) === flags.severity),
  });
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
    "peak MB",
    "elastic is",
    "worst beside source",
  ];
  const cells = contestants.map((each) => [
    ...[each.contestant, String(each.stays), formatShare(each.onlineAccuracy), formatShare(each.afterAccuracy)],
    each.forgetting === null ? "-" : points(100 * each.forgetting),
    ...[each.adaptSeconds, each.generationSeconds, each.wallSeconds].map((seconds) => `${seconds.toFixed(3)} s`),
    ...[formatCount(Math.round(each.macs)), formatCount(Math.round(each.sizeBytes))],
    ...[(each.peakBytes / 1e6).toFixed(1), points(each.elasticGainPoints), points(each.worstVsSourcePoints)],
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
