import { basename, join } from "node:path";
import {
  accuracyOf,
  addTallies,
  EMPTY_TALLY,
  findMethod,
  isClassifier,
  METHODS,
  type Tally,
} from "../../adapt/index.js";
import {
  adaptDomains,
  type ElasticDomain,
  MasterVersions,
  RELEVANCES,
  REPRESENTATIVES,
  STRATEGIES,
} from "../../elastic/index.js";
import { fixSparsity, gatesOf, writeModel } from "../../graph/index.js";
import { readModelFile, writeFileAtomic } from "../../run/node.js";
import { defineCommand } from "../command.js";
import { createSkipNotes, DATA_FLAGS, layOutStream, openData } from "../data.js";
import { createFolder } from "../files.js";
import { formatCount, formatCsv, formatShare, formatTable } from "../format.js";
import { hashFile, MODEL_FLAGS, prepareImageModel, PREPROCESSING_FLAGS, runtimeOf } from "../model.js";
import { publishModel, stampModel } from "../publish.js";

/** `elastic <master>`: a small model for each domain, adapted where it matters, and a master that learns from them. */
export const elastic = defineCommand({
  name: "elastic",
  summary: "Cut, adapt and feed back a small model for each domain (ElasticDNN)",
  args: { master: { help: "an .onnx file from limber master build" } },
  flags: {
    ...DATA_FLAGS,
    method: { kind: "text", value: "name", default: "tent", help: METHODS.map(({ name }) => name).join(", ") },
    option: { kind: "pairs", help: "any option of the method; may be repeated" },
    sparsity: {
      kind: "number",
      fraction: true,
      minimum: 0,
      maximum: 1,
      default: 0.8,
      help: "share of channels left out",
    },
    relevance: {
      kind: "text",
      choices: RELEVANCES,
      default: "gates",
      value: "score",
      help: "what says which channels stay",
    },
    representative: {
      kind: "text",
      choices: REPRESENTATIVES,
      default: "entropy",
      value: "rule",
      help: "which image of the first batch decides",
    },
    train: {
      kind: "number",
      fraction: true,
      minimum: 0,
      maximum: 1,
      default: 0.2,
      help: "share of the filters that train",
    },
    strategy: { kind: "text", choices: STRATEGIES, default: "sensitive", value: "rule", help: "which filters train" },
    alpha: {
      kind: "number",
      fraction: true,
      minimum: 0,
      maximum: 1,
      default: 0.2,
      help: "how much flows back into the master",
    },
    reuse: { kind: "boolean", help: "go on from the last small model, where it had the same filters" },
    batch: {
      kind: "number",
      minimum: 1,
      default: 64,
      help: "images per step, and images that a small model is made for",
    },
    stream: {
      kind: "text",
      value: "visits",
      help: "order of the domains: clean,fog*2,clean:100 (name, *times, :images)",
    },
    fallback: {
      kind: "text",
      value: "file",
      help: "a model, such as the source, that serves where the small one seems no better",
    },
    output: { kind: "text", value: "file", help: "write what serves the last domain (default: write nothing)" },
    masterOutput: { kind: "text", value: "file", help: "write the master as it is after the last domain" },
    runDir: { kind: "text", value: "folder", help: "write result.json (what --json prints) and results.csv there" },
    ...PREPROCESSING_FLAGS,
    ...MODEL_FLAGS,
  },
  examples: [
    "elastic master.onnx --data world --stream day,fog,night,fog --output small.onnx",
    "elastic master.onnx --data photos/ --sparsity 0.6 --method bn --json",
    "elastic untrained.onnx --data photos/ --relevance activation",
  ],
  async run({ args, flags, ...context }) {
    const method = findMethod(flags.method);
    const master = await readModelFile(args.master, { allowExternalData: flags.externalData });
    const opened = await prepareImageModel(args.master, fixSparsity(master, 0), flags, context);
    const { preprocessing, batchSize } = opened;
    const outputs = isClassifier(master) ? opened.outputs : undefined;
    const labels = method.labels === "none" ? "optional" : "required";
    const dataset = await openData(flags, context, {
      preprocessing,
      outputs,
      labels,
      split: "test",
      worldSamples: 500,
    });
    const unlabelled = dataset.classes.length === 0 || !isClassifier(master);
    const { seed, signal, onProgress, note } = context;
    const domains = flags.stream === undefined ? dataset.domains : layOutStream(dataset, flags.stream, batchSize, seed);
    const { sparsity, relevance, representative, strategy, alpha, reuse } = flags;
    const versions = new MasterVersions(master);
    const reading = { allowExternalData: flags.externalData };
    const fallback = flags.fallback === undefined ? undefined : await readModelFile(flags.fallback, reading);
    const results: ElasticDomain[] = [];
    for await (const each of adaptDomains(versions, domains, {
      ...{ method, methodOptions: flags.option, preprocessing, batchSize, seed, signal, onProgress, unlabelled },
      ...{ sparsity, relevance, representative, strategy, alpha, reuse, trainShare: flags.train, fallback },
      ...{ ...runtimeOf(context), onSkipped: createSkipNotes(note) },
    }))
      results.push(each);
    const rows = results.map((result) => describe(result, unlabelled));
    const json = {
      method: method.name,
      sparsity,
      gates: gatesOf(master).gates.length,
      ...summarize(results, unlabelled),
      domains: rows,
    };
    const origin = {
      ...{ command: "elastic", parent: await hashFile(args.master), method: method.name, seed, preprocessing },
      ...{
        options: { ...flags.option, sparsity, relevance, representative, strategy, alpha, reuse, train: flags.train },
      },
      ...{
        data: `${basename(flags.data)}: ${domains.map(({ name }) => name).join(", ")}`,
        metrics: summarize(results, unlabelled),
      },
    };
    if (flags.output !== undefined) {
      const model = stampModel(results.at(-1)!.model, origin, context.env);
      await publishModel(flags.output, model, { ...opened, ...runtimeOf(context), probe: domains.at(-1)! });
    }
    if (flags.masterOutput !== undefined)
      await writeFileAtomic(flags.masterOutput, writeModel(stampModel(versions.current, origin, context.env)));
    if (flags.runDir !== undefined) {
      await createFolder(flags.runDir);
      await writeFileAtomic(join(flags.runDir, "result.json"), `${JSON.stringify(json, undefined, 2)}\n`);
      await writeFileAtomic(join(flags.runDir, "results.csv"), formatCsv(rows));
    }
    const written = [flags.output, flags.masterOutput].filter((file) => file !== undefined);
    return { json, text: [formatRows(rows), ...written.map((file) => `written: ${file}`)].join("\n") };
  },
});

function describe({ report, generated, macs, sizeBytes, overlap, ...result }: ElasticDomain, unlabelled: boolean) {
  const share = (tally: Tally): number | null => (unlabelled ? null : accuracyOf(tally));
  const { name, source, online, after, adaptSeconds, steps, refused } = report;
  const { probeMs, cutMs, checkMs, isCached, difference } = generated;
  return {
    ...{
      name,
      total: online.total,
      beforeAccuracy: share(source),
      onlineAccuracy: share(online),
      afterAccuracy: share(after),
    },
    ...{ generationSeconds: (probeMs + cutMs + checkMs + result.sensitivityMs) / 1000, adaptSeconds, steps, refused },
    ...{ macs, sizeBytes, overlap: overlap ?? null, isCached, difference: difference ?? null },
    ...{ trainedFilters: result.trainedFilters, filters: result.filters, skipped: online.skipped },
    served: result.serving?.served ?? "surrogate",
  };
}

type Row = ReturnType<typeof describe>;

/** All domains together, every image counted once. */
function summarize(results: readonly ElasticDomain[], unlabelled: boolean) {
  const share = (key: "source" | "online" | "after"): number | null =>
    unlabelled ? null : accuracyOf(results.map(({ report }) => report[key]).reduce(addTallies, EMPTY_TALLY));
  const rows = results.map((result) => describe(result, unlabelled));
  const sum = (key: "generationSeconds" | "adaptSeconds"): number => rows.reduce((total, row) => total + row[key], 0);
  return {
    ...{ beforeAccuracy: share("source"), onlineAccuracy: share("online"), afterAccuracy: share("after") },
    ...{ generationSeconds: sum("generationSeconds"), adaptSeconds: sum("adaptSeconds") },
  };
}

function formatRows(rows: readonly Row[]): string {
  const cells = ({ name, overlap, ...row }: Row): string[] => [
    ...[
      name,
      row.served,
      formatShare(row.beforeAccuracy),
      formatShare(row.onlineAccuracy),
      formatShare(row.afterAccuracy),
    ],
    ...[`${row.generationSeconds.toFixed(2)} s`, `${row.adaptSeconds.toFixed(2)} s`],
    ...[formatCount(row.macs), formatCount(row.sizeBytes), overlap === null ? "-" : formatShare(overlap)],
  ];
  const titles = [
    "domain",
    "served by",
    "before",
    "online",
    "after",
    "made in",
    "adapted in",
    "MACs",
    "bytes",
    "same filters",
  ];
  return formatTable(titles, rows.map(cells));
}
