import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { evaluateTask } from "../../adapt/index.js";
import { LimberError, Random } from "../../base/index.js";
import { LINE_DEFAULTS } from "../../demo/index.js";
import { findPatches } from "../../graph/index.js";
import {
  createMember,
  describeStart,
  type Drift,
  labelDomain,
  type LabelOptions,
  Ledger,
  type Member,
  openLibrary,
  type Patched,
  patchLine,
  refreshStatistics,
  saveLibrary,
  savePatch,
  type Teacher,
  writePatch,
} from "../../patch/index.js";
import { createMachine, Predictor } from "../../run/node.js";
import { type Dataset, type Domain, taskOf } from "../../vision/index.js";
import { defineCommand, type FlagValues, type Surroundings } from "../command.js";
import { DATA_FLAGS, openData } from "../data.js";
import { formatShare, formatTable } from "../format.js";
import { hashFile, MODEL_FLAGS, openImageModel, type OpenModel, PREPROCESSING_FLAGS, runtimeOf } from "../model.js";
import { publishModel, stampModel } from "../publish.js";

const LINE_FLAGS = {
  models: { kind: "list", value: "file", required: true, help: "models that see the same pictures" },
  ...DATA_FLAGS,
  before: { kind: "text", value: "domain", help: "a domain of the data that the models know; the others are drifts" },
  patches: { kind: "number", minimum: 1, default: LINE_DEFAULTS.count, help: "patches of a model at first" },
  held: {
    kind: "number",
    fraction: true,
    minimum: 0.05,
    maximum: 0.9,
    default: 0.33,
    help: "share of the pictures that tells when to stop",
  },
  teacher: { kind: "list", value: "file", help: "models whose answers are the labels, one for each task" },
  pseudo: { kind: "boolean", help: "the models' own answers are the labels, where they are sure of them" },
  library: { kind: "text", value: "folder", help: "past patches: where a domain comes again its patch serves again" },
  epochs: { kind: "number", minimum: 1, default: LINE_DEFAULTS.budget.base, help: "most passes over the others" },
  batch: { kind: "number", minimum: 1, default: LINE_DEFAULTS.batchSize, help: "images per step" },
  output: { kind: "text", value: "folder", help: "where patched models and patch files go" },
  ...PREPROCESSING_FLAGS,
  ...MODEL_FLAGS,
} as const;

/** A model of the line and where it came from. */
interface Opened extends OpenModel {
  readonly path: string;
  readonly name: string;
}

/** `line`: patches models one after another, drift after drift, on labelled pictures. */
export const line = defineCommand({
  name: "line",
  summary: "Patch co-running models one after another on labelled pictures of a drift (PatchLine)",
  args: {},
  flags: LINE_FLAGS,
  examples: [
    "line --models models/line/resnet-classification.onnx,models/line/resnet-detection.onnx --data world:day,fog --before day --limit 200",
    "line --models small.onnx --teacher big.onnx --data frames/ --library patches/",
    "line --models segmenter.onnx --data frames/ --domains-by light --before day --output patched/",
  ],
  async run({ flags, ...context }) {
    const { seed, signal, onProgress, note } = context;
    const opened = await openModels(flags.models, flags, context);
    const teachers = await openTeachers(opened, flags, context);
    const shelf = flags.library === undefined ? undefined : await openLibrary(flags.library);
    if (shelf && shelf.skipped > 0) note(`library: ${shelf.skipped} broken entries left out`);
    const first = opened[0]!;
    const labels = "optional"; // boxes and masks are labels, too
    const dataset = await openData(flags, context, {
      ...first,
      outputs: undefined,
      labels,
      split: "train",
      worldSamples: 256,
    });
    const { known, drifts } = splitDomains(dataset, flags.before);
    await using machine = createMachine(context);
    let members: readonly Member[] = await Promise.all(
      opened.map(async ({ name, model, preprocessing }) => {
        const member = createMember(model, { name, preprocessing, before: 1 });
        if (!known) return member;
        const predictor = await Predictor.create(machine, member.source, runtimeOf(context));
        const reading = { preprocessing, batchSize: flags.batch, signal };
        const { value } = await evaluateTask(predictor, member.head, known, reading);
        await predictor.dispose();
        return { ...member, before: value };
      }),
    );
    const rows: Row[] = [];
    for (const domain of drifts) {
      const order = new Random(seed).fork(domain.name).shuffled(Array.from({ length: domain.samples }, (_, i) => i));
      const held = Math.max(1, Math.round(flags.held * order.length));
      const ledger = new Ledger();
      const done = new Map<string, Member>();
      const drift = { domain, held: order.slice(0, held), pool: order.slice(held) };
      const labelling = { ...runtimeOf(context), machine, signal, ledger, indices: order, batchSize: flags.batch };
      const asked = flags.pseudo ? await asTeachers(members, drift, labelling) : teachers;
      const labelled = asked.length === 0 ? domain : await labelDomain(domain, asked, labelling);
      for await (const patched of patchLine(
        members,
        { ...drift, domain: labelled },
        {
          ...{ ...LINE_DEFAULTS, ...runtimeOf(context), machine, seed, signal, onProgress, ledger },
          ...{ count: flags.patches, batchSize: flags.batch, budget: { ...LINE_DEFAULTS.budget, base: flags.epochs } },
          library: shelf?.library,
          // a model agrees with itself: only what it is sure of teaches, and held pictures tell nothing
          ...(flags.pseudo && { selection: { share: 1, labelSource: "pseudo" }, keeps: "last" }),
        },
      )) {
        done.set(patched.member.name, patched.member);
        rows.push(rowOf(domain, patched, ledger));
        note(`${domain.name}, ${patched.member.name}: ${describeStart(patched.start)}`);
      }
      members = members.map((member) => done.get(member.name) ?? member);
    }
    if (flags.library !== undefined && shelf) await saveLibrary(flags.library, shelf.library);
    const { output } = flags;
    const written = output === undefined ? [] : await writeAll(output, members, opened, drifts.at(-1)!, rows, context);
    return { json: { models: rows, written }, text: describe(rows, written) };
  },
});

async function openModels(
  paths: readonly string[],
  flags: FlagValues<typeof LINE_FLAGS>,
  context: Surroundings,
): Promise<Opened[]> {
  const opened: Opened[] = [];
  for (const path of paths) {
    const name = basename(path, ".onnx");
    if (opened.some((other) => other.name === name)) {
      const message = `models: files of different names, got "${name}" twice; rename one`;
      throw new LimberError("config.invalid", message, { name });
    }
    opened.push({ path, name, ...(await openImageModel(path, flags, context)) });
  }
  return opened;
}

/** Models whose answers are the labels; none: those of the data are. Throws: `config.invalid` where a task has no teacher. */
async function openTeachers(
  models: readonly Opened[],
  flags: FlagValues<typeof LINE_FLAGS>,
  context: Surroundings,
): Promise<readonly Teacher[]> {
  const { teacher: paths = [], pseudo } = flags;
  if (pseudo && paths.length > 0)
    throw new LimberError("config.invalid", "--pseudo: no --teacher beside it, got both; leave one out");
  const teachers: Teacher[] = [];
  for (const path of paths) {
    const { model, preprocessing } = await openImageModel(path, flags, context);
    teachers.push({ name: "teacher", model, preprocessing, head: taskOf(model).open(model, preprocessing) });
  }
  const tasks = teachers.map(({ model }) => taskOf(model).name);
  const left = models.find(({ model }) => !tasks.includes(taskOf(model).name));
  if (paths.length === 0 || !left) return teachers;
  const message = `--teacher: a model for each task, got none for ${taskOf(left.model).name} ("${left.name}"); add one`;
  throw new LimberError("config.invalid", message, { model: left.name });
}

/** The models themselves, with statistics of the new pictures; of those of one task the first that is given labels. */
async function asTeachers(
  members: readonly Member[],
  { domain, pool }: Drift,
  { machine, batchSize, signal, ...session }: LabelOptions,
): Promise<readonly Teacher[]> {
  const teachers: Teacher[] = [];
  for (const { name, serving, preprocessing, head } of members) {
    const options = { ...session, machine, signal, preprocessing, batchSize, indices: pool };
    const { model } = await refreshStatistics(serving, domain, options);
    teachers.push({ name, model, preprocessing, head });
  }
  return teachers;
}

function splitDomains({ domains }: Dataset, before: string | undefined): { known?: Domain; drifts: readonly Domain[] } {
  if (before === undefined) return { drifts: domains };
  const known = domains.find(({ name }) => name === before);
  const drifts = domains.filter((domain) => domain !== known);
  if (known && drifts.length > 0) return { known, drifts };
  const names = domains.map(({ name }) => name).join(", ");
  throw new LimberError("config.invalid", `--before: one of several domains, got "${before}" of ${names}`, { before });
}

interface Row {
  readonly drift: string;
  readonly model: string;
  readonly metric: string;
  /** On the held pictures: what served before, and what does now. */
  readonly before: number;
  readonly after: number;
  readonly accepted: boolean;
  readonly patches: number;
  readonly start: string;
  readonly from: string | null;
  readonly samples: number;
  readonly epochs: number;
  readonly macs: number;
  readonly seconds: number;
}

const rowOf = ({ name: drift }: Domain, patched: Patched, ledger: Ledger): Row => {
  const { member, servingScore, score, accepted, groups, start, samples, courses } = patched;
  const { macs, seconds } = ledger.total({ model: member.name });
  return {
    ...{ drift, model: member.name, metric: taskOf(member.source).metric },
    ...{ before: servingScore, after: accepted ? score : servingScore, accepted, patches: groups.length },
    ...{ start: start.source, from: start.from ?? null, samples },
    epochs: courses.reduce((sum, { losses }) => sum + losses.length, 0),
    ...{ macs, seconds },
  };
};

/** Each model as the last drift left it, and what changed as a file of its own. */
async function writeAll(
  folder: string,
  members: readonly Member[],
  opened: readonly Opened[],
  domain: Domain,
  rows: readonly Row[],
  context: Surroundings,
): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const written: string[] = [];
  for (const { name, source, serving, preprocessing } of members) {
    const { path, batchSize } = opened.find((each) => each.name === name)!;
    const last = rows.findLast(({ model }) => model === name)!;
    if (serving === source) continue; // nothing was better than what was there
    const metrics = { before: last.before, after: last.after };
    const origin = { command: "line", parent: await hashFile(path), method: "patchline", preprocessing };
    const data = `${domain.name}: ${domain.samples} images`;
    const stamped = stampModel(
      serving,
      { ...origin, options: LINE_DEFAULTS, data, metrics, seed: context.seed },
      context.env,
    );
    const [model, patch] = [join(folder, `${name}.onnx`), join(folder, `${name}.safetensors`)];
    await publishModel(model, stamped, { preprocessing, batchSize, probe: domain, ...runtimeOf(context) });
    written.push(model);
    if (findPatches(serving).length === 0) continue; // statistics alone were enough
    const { seed } = context;
    await savePatch(patch, writePatch(serving, { parent: source, domain: domain.name, metrics, seed }));
    written.push(patch);
  }
  return written;
}

function describe(rows: readonly Row[], written: readonly string[]): string {
  const table = formatTable(
    ["drift", "model", "measure", "before", "after", "patches", "start", "labels", "epochs", "work", "time"],
    rows.map(
      ({ drift, model, metric, before, after, accepted, patches, start, from, samples, epochs, macs, seconds }) => [
        ...[drift, model, metric, formatShare(before), accepted ? formatShare(after) : "kept", String(patches)],
        ...[from === null ? start : `${start}: ${from}`, String(samples), String(epochs)],
        ...[`${(macs / 1e9).toFixed(2)} G`, `${seconds.toFixed(1)} s`],
      ],
    ),
  );
  return [table, ...written.map((path) => `written: ${path}`)].join("\n");
}
