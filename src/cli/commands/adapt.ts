import { basename, join } from "node:path";
import {
  accuracyOf,
  adapt,
  addTallies,
  type DomainReport,
  EMPTY_TALLY,
  findMethod,
  isClassifier,
  METHODS,
  type Tally,
} from "../../adapt/index.js";
import { writeFileAtomic } from "../../run/node.js";
import { type Domain, joinDomains, type Preprocessing } from "../../vision/index.js";
import { defineCommand } from "../command.js";
import { createSkipNotes, DATA_FLAGS, layOutStream, openData } from "../data.js";
import { createFolder } from "../files.js";
import { formatCount, formatCsv, formatShare, formatSkipped, formatTable } from "../format.js";
import { hashFile, MODEL_FLAGS, openImageModel, PREPROCESSING_FLAGS, runtimeOf } from "../model.js";
import { publishModel, stampModel } from "../publish.js";
import { TUNE_FLAGS, tuneSettingsOf } from "../tune.js";

/** Flags that are options of a method; each method takes those that it knows. */
const METHOD_FLAGS = {
  prior: { kind: "number", fraction: true, minimum: 0, help: "bn: weight of the source statistics, in samples" },
  sourceWeight: {
    kind: "number",
    fraction: true,
    minimum: 0,
    maximum: 1,
    help: "bn: weight of the source statistics, as a share",
  },
  lr: { kind: "number", fraction: true, minimum: 0, help: "learning rate" },
  optimizer: { kind: "text", choices: ["adam", "sgd"], value: "name", help: "optimizer" },
  scope: { kind: "text", value: "what", help: "finetune: all, norm, head or from=<node>" },
  epochs: { kind: "number", minimum: 1, help: "finetune, shot: passes over the images" },
  option: { kind: "pairs", help: "any option of the method; may be repeated" },
} as const;

const methodNames = METHODS.map(({ name }) => name);

/** `adapt <model>`: what does this method make of this model on this data? Writes the adapted model when asked to. */
export const adaptCommand = defineCommand({
  name: "adapt",
  summary: "Adapt a model to the images of a domain, or of several one after another",
  args: { model: { help: "an .onnx file" } },
  flags: {
    ...DATA_FLAGS,
    method: { kind: "text", value: "name", required: true, help: methodNames.join(", ") },
    ...METHOD_FLAGS,
    labelled: {
      kind: "number",
      minimum: 1,
      default: 64,
      help: "finetune: how many images of each domain have a label",
    },
    sourceData: {
      kind: "text",
      value: "path",
      help: "eata, cua: labelled images of the source domain, for methods that use some",
    },
    unguarded: { kind: "boolean", help: "do not start again from the source when predictions have collapsed" },
    batch: { kind: "number", minimum: 1, default: 32, help: "images per step" },
    stream: {
      kind: "text",
      value: "visits",
      help: "order of the domains: clean,fog*2,clean:100 (name, *times, :images)",
    },
    continual: { kind: "boolean", help: "go on from domain to domain instead of starting each from the source" },
    output: {
      kind: "text",
      value: "file",
      help: "write the model as it is after the last domain (default: write nothing)",
    },
    runDir: { kind: "text", value: "folder", help: "write result.json (what --json prints) and results.csv there" },
    ...PREPROCESSING_FLAGS,
    ...MODEL_FLAGS,
    ...TUNE_FLAGS,
  },
  examples: [
    "adapt model.onnx --data photos/ --method tent --output adapted.onnx",
    "adapt model.onnx --data cifar10c/ --method bn --source-weight 0.9 --batch 200 --preset cifar --json",
    "adapt model.onnx --data world --stream day,night,fog,day --method finetune --scope norm --continual",
  ],
  async run({ args, flags, ...context }) {
    const method = findMethod(flags.method);
    const methodOptions = methodOptionsOf(flags);
    const opened = await openImageModel(args.model, flags, context);
    const dataset = await openData(flags, context, {
      ...{ ...opened, split: "test", worldSamples: 500 },
      labels: method.labels === "none" ? "optional" : "required",
      outputs: isClassifier(opened.model) ? opened.outputs : undefined,
    });
    const unlabelled = dataset.classes.length === 0 || !isClassifier(opened.model);
    if (unlabelled) context.note("nothing is measured: the images have no labels that this model predicts");
    const { preprocessing, batchSize } = opened;
    const { seed, signal, onProgress } = context;
    const source =
      flags.sourceData === undefined
        ? undefined
        : await openSource(flags.sourceData, flags, { ...context, preprocessing });
    const domains = flags.stream === undefined ? dataset.domains : layOutStream(dataset, flags.stream, batchSize, seed);
    const { domains: reports, model } = await adapt(opened.model, domains, {
      ...{ source, withoutGuard: flags.unguarded },
      ...{ method, methodOptions, preprocessing, batchSize, seed, signal, onProgress, ...runtimeOf(context) },
      tune: tuneSettingsOf(flags, context),
      ...{ labelled: flags.labelled, unlabelled, continual: flags.continual, onSkipped: createSkipNotes(context.note) },
    });
    const totals = summarize(reports, unlabelled);
    if (flags.output !== undefined) {
      const { onlineAccuracy, afterAccuracy, sourceAccuracy } = totals;
      const origin = {
        ...{
          command: "adapt",
          parent: await hashFile(args.model),
          method: method.name,
          options: methodOptions,
          seed,
          preprocessing,
        },
        data: `${basename(flags.data)}: ${domains.map(({ name }) => name).join(", ")}`,
        metrics: { onlineAccuracy, afterAccuracy, sourceAccuracy },
      };
      const probe = domains.at(-1)!;
      await publishModel(flags.output, stampModel(model, origin, context.env), {
        ...opened,
        ...runtimeOf(context),
        probe,
      });
    }
    const json = {
      method: method.name,
      ...totals,
      output: flags.output ?? null,
      domains: reports.map((report) => describeDomain(report, unlabelled)),
    };
    if (flags.runDir !== undefined) await writeRun(flags.runDir, json);
    return { json, text: formatReport(json, flags.output) };
  },
});

/** All domains at the path as one. */
async function openSource(
  path: string,
  flags: Parameters<typeof openData>[0],
  context: Parameters<typeof openData>[1] & { readonly preprocessing: Preprocessing },
): Promise<{ readonly domain: Domain }> {
  const { domains } = await openData({ ...flags, data: path, domains: undefined, limit: undefined }, context, {
    ...{ preprocessing: context.preprocessing, split: "train", worldSamples: 2000, labels: "required" },
  });
  return { domain: joinDomains("source", domains) };
}

type MethodFlags = { readonly [K in keyof typeof METHOD_FLAGS]?: unknown };

/** Only what was given: a method refuses options that it does not know. */
function methodOptionsOf({
  prior,
  sourceWeight,
  lr,
  optimizer,
  scope,
  epochs,
  option,
}: MethodFlags): Record<string, unknown> {
  const named = { prior, sourceWeight, learningRate: lr, optimizer, scope, epochs };
  return {
    ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
    ...(option as object | undefined),
  };
}

const describeDomain = (
  { name, online, adaptSeconds, steps, refused, collapses, cacheHits, ...rest }: DomainReport,
  unlabelled: boolean,
) => ({
  ...{ name, total: online.total, ...accuraciesOf({ online, ...rest }, unlabelled) },
  ...{ adaptSeconds, steps, refused, collapses, cacheHits, skipped: online.skipped },
});

/** Null where there was nothing to measure with. */
function accuraciesOf(
  { online, after, source }: Pick<DomainReport, "online" | "after" | "source">,
  unlabelled: boolean,
) {
  const share = (tally: Tally): number | null => (unlabelled ? null : accuracyOf(tally));
  return { onlineAccuracy: share(online), afterAccuracy: share(after), sourceAccuracy: share(source) };
}

/** All domains together, every image counted once. */
function summarize(reports: readonly DomainReport[], unlabelled: boolean) {
  const tally = (key: "online" | "after" | "source"): Tally =>
    reports.map((r) => r[key]).reduce(addTallies, EMPTY_TALLY);
  const sum = (key: "adaptSeconds" | "steps" | "refused" | "collapses" | "cacheHits"): number =>
    reports.reduce((total, r) => total + r[key], 0);
  return {
    ...accuraciesOf({ online: tally("online"), after: tally("after"), source: tally("source") }, unlabelled),
    ...{ adaptSeconds: sum("adaptSeconds"), steps: sum("steps") },
    ...{ refused: sum("refused"), collapses: sum("collapses"), cacheHits: sum("cacheHits") },
    skipped: tally("online").skipped,
  };
}

async function writeRun(
  folder: string,
  result: { readonly domains: readonly Record<string, unknown>[] },
): Promise<void> {
  await createFolder(folder);
  await writeFileAtomic(join(folder, "result.json"), `${JSON.stringify(result, undefined, 2)}\n`);
  await writeFileAtomic(join(folder, "results.csv"), formatCsv(result.domains));
}

type Row = Omit<ReturnType<typeof describeDomain>, "total" | "name">;

function formatReport(
  { domains, ...all }: Row & { readonly domains: readonly ReturnType<typeof describeDomain>[] },
  output: string | undefined,
): string {
  const cells = (name: string, row: Row): string[] => [
    ...[name, formatShare(row.sourceAccuracy), formatShare(row.onlineAccuracy), formatShare(row.afterAccuracy)],
    ...[formatCount(row.steps), `${row.adaptSeconds.toFixed(2)} s`],
  ];
  const rows = [...domains.map((row) => cells(row.name, row)), cells("all", all)];
  const refused =
    all.refused === 0 ? "" : `\n${formatCount(all.refused)} steps refused: a loss or gradient was not finite`;
  const collapsed =
    all.collapses === 0
      ? ""
      : `\n${formatCount(all.collapses)} times predictions collapsed to few classes, and it started again from the source`;
  const written = output === undefined ? "" : `\nwritten: ${output}`;
  return (
    formatTable(["domain", "source", "online", "after", "steps", "time"], rows) +
    refused +
    collapsed +
    formatSkipped(all.skipped) +
    written
  );
}
