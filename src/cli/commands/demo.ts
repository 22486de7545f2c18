import { resolve } from "node:path";
import { type DemoResult, runDemo, WORLD_MODEL_PATH } from "../../demo/index.js";
import { defineCommand, type FlagValues, type Surroundings } from "../command.js";
import { formatCount, formatShare, formatTable } from "../format.js";
import { hashFile, runtimeOf } from "../model.js";
import { publishModel, stampModel } from "../publish.js";

const DEMO_FLAGS = {
  visits: {
    kind: "list",
    value: "domain,...",
    help: "domains of the embedded world in order (default: a tour of thirteen)",
  },
  images: { kind: "number", minimum: 1, default: 256, help: "pictures that arrive in each visit" },
  labelled: { kind: "number", minimum: 1, default: 64, help: "labelled pictures that a domain is patched with" },
  drifts: {
    kind: "list",
    value: "domain,...",
    help: "what three models in a line go through after that (default: fog,night), or none",
  },
  windows: {
    kind: "number",
    minimum: 0,
    default: 3,
    help: "windows of five seconds in which three apps then share the device, or 0",
  },
  runs: {
    kind: "text",
    value: "folder",
    default: "runs/classification",
    help: "where the folder demo-<n> of the run goes",
  },
} as const;

/** `demo`: the main job on the embedded world. */
export const demo = defineCommand({
  name: "demo",
  summary: "Take a classifier through changing domains, and three models in a line through two of them",
  args: {},
  flags: DEMO_FLAGS,
  examples: ["demo", "demo --visits day,fog,night,fog --seed 3", "demo --json --quiet"],
  async run({ flags, seed, signal, onProgress, note, env, ...context }) {
    const parent = await hashFile(WORLD_MODEL_PATH);
    const drifts = flags.drifts?.join() === "none" ? [] : flags.drifts;
    const result = await runDemo({
      ...{ ...flags, drifts, seed, signal, onProgress, ...runtimeOf(context) },
      command: commandLine(flags, seed, context),
      onVisit: ({ visit, name, source, tentOnline, patched, elastic }, visits) =>
        note(
          `${visit}/${visits} ${name}: source ${formatShare(source)}, Tent ${formatShare(tentOnline)}, patched ${formatShare(patched)}, small ${formatShare(elastic)}`,
        ),
      publish: async ({ path, model, methodOptions, probe, ...origin }) => {
        const stamped = stampModel(model, { ...origin, command: "demo", options: methodOptions, parent, seed }, env);
        await publishModel(path, stamped, { ...origin, ...runtimeOf(context), batchSize: 32, probe });
      },
    });
    return { json: { ...result }, text: formatResult(result) };
  },
});

/** The command line that repeats a run: what is not the default. */
function commandLine(
  flags: FlagValues<typeof DEMO_FLAGS>,
  seed: number,
  { threads, provider }: Pick<Surroundings, "threads" | "provider">,
): string {
  const { visits, drifts, images, labelled, windows } = flags;
  return [
    "limber demo",
    ...(visits ? [`--visits ${visits.join(",")}`] : []),
    ...(drifts ? [`--drifts ${drifts.join(",")}`] : []),
    ...(images === DEMO_FLAGS.images.default ? [] : [`--images ${images}`]),
    ...(labelled === DEMO_FLAGS.labelled.default ? [] : [`--labelled ${labelled}`]),
    ...(windows === DEMO_FLAGS.windows.default ? [] : [`--windows ${windows}`]),
    `--seed ${seed}`,
    ...(threads === undefined ? [] : [`--threads ${threads}`]),
    ...(provider === "cpu" ? [] : [`--provider ${provider}`]),
  ].join(" ");
}

function formatResult({ headline, domains, line, together, folder }: DemoResult): string {
  type Shares = Pick<DemoResult["headline"], "source" | "bn" | "tentOnline" | "tentAfter" | "patched">;
  const shares = ({ source, bn, tentOnline, tentAfter, patched }: Shares): string[] =>
    [source, bn, tentOnline, tentAfter, patched].map(formatShare);
  const rows = domains.map((row) => [
    ...[`${row.visit} ${row.name}`, ...shares(row), row.returning ? "kept" : String(row.labels)],
    ...[`${row.tentSeconds.toFixed(2)} s`, row.returning ? "-" : `${row.patchSeconds.toFixed(2)} s`],
  ]);
  const means = [
    ...shares(headline),
    "",
    `${headline.tentSeconds.toFixed(2)} s`,
    `${headline.patchSeconds.toFixed(2)} s`,
  ];
  const table = formatTable(
    ["domain", "source", "batch stats", "Tent online", "Tent after", "patched", "labels", "Tent", "patch"],
    [...rows, ["mean", ...means]],
  );
  const legend =
    "Source, batch statistics and Tent start anew in every visit; a patch is kept and put back when its domain returns.";
  const small = [formatElastic(headline, domains), ELASTIC_LEGEND].join("\n\n");
  const inLine = line.length === 0 ? "" : `\n\n${formatLine(line)}\n\n${LINE_LEGEND}`;
  const shared = together === null ? "" : `\n\n${formatTogether(together)}\n`;
  return `${table}\n\n${legend}\n\n${small}${inLine}${shared}\nreport: ${resolve(folder, "results.html")}`;
}

const ELASTIC_LEGEND =
  "ElasticDNN: a small model for each visit, cut from the master and adapted without labels; beside it the source model under Tent.";

/** The small models beside the full one. */
function formatElastic(headline: DemoResult["headline"], domains: DemoResult["domains"]): string {
  const { sourceMacs, sourceBytes } = headline;
  const cells = (row: DemoResult["headline"] | DemoResult["domains"][number]): string[] => [
    ...[formatShare(row.elasticBefore), formatShare(row.elastic), formatCount(row.elasticMacs)],
    ...[formatCount(row.elasticBytes), inMilliseconds(row.elasticMadeSeconds), inMilliseconds(row.elasticSeconds)],
    ...[formatShare(row.source), formatShare(row.tentAfter), formatCount(sourceMacs), formatCount(sourceBytes)],
    inMilliseconds(row.tentSeconds),
  ];
  const rows = domains.map((row) => [`${row.visit} ${row.name}`, ...cells(row)]);
  const small = ["small before", "after", "MACs", "bytes", "made in", "adapted in"];
  const full = ["full before", "after", "MACs", "bytes", "adapted in"];
  return formatTable(["domain", ...small, ...full], [...rows, ["mean", ...cells(headline)]]);
}

const LINE_LEGEND =
  "PatchLine: three models with the same backbone follow the same drifts, one after another; patches and what trains with them.";

/** The three models of a line after each drift. */
const formatLine = (line: DemoResult["line"]): string =>
  formatTable(
    ["drift", "model", "measure", "source", "patched", "patches", "start", "epochs", "labels", "work", "time"],
    line.map(({ drift, task, metric, source, patched, patches, start, from, epochs, samples, macs, seconds }) => [
      ...[drift, task, metric, formatShare(source), formatShare(patched), String(patches)],
      ...[from === null ? start : `${start}: ${from}`, String(epochs), String(samples)],
      ...[`${(macs / 1e9).toFixed(1)} G`, `${seconds.toFixed(1)} s`],
    ]),
  );

/** Three apps that shared the device, window by window. */
const formatTogether = ({ rows, plans, overBudget }: NonNullable<DemoResult["together"]>): string => {
  const cells = rows.map(({ window, app, surroundings, score, estimated, share, level, steps, latencyP99Ms }) => [
    ...[`${window} ${app}`, surroundings, orDash(score), orDash(estimated), formatShare(share), level, String(steps)],
    `${latencyP99Ms.toFixed(0)} ms`,
  ]);
  const titles = ["window and app", "sees", "score", "thought to be", "used", "size", "steps", "slowest answers"];
  const legend = `Three apps share the device: ${plans} plans, ${overBudget} above the budget.`;
  return `${formatTable(titles, cells)}\n\n${legend}`;
};

const orDash = (share: number | null): string => (share === null ? "-" : formatShare(share));
const inMilliseconds = (seconds: number): string => `${Math.round(1000 * seconds)} ms`;
