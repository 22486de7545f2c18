import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { evaluateTask } from "../adapt/index.js";
import { isLimberError, type LongCall } from "../base/index.js";
import {
  createMember,
  Ledger,
  type LineOptions,
  type Member,
  patchLine,
  PatchLibrary,
  type StartSource,
} from "../patch/index.js";
import {
  createMachine,
  type Machine,
  type MachineOptions,
  Predictor,
  readModelFile,
  type SessionOptions,
} from "../run/node.js";
import {
  batches,
  createWorld,
  type Domain,
  type Image,
  levelsOf,
  parsePreprocessing,
  preprocessingFromMetadata,
  type TaskName,
  taskOf,
  TASKS,
  type Truth,
} from "../vision/index.js";
import type { OnEvent } from "./visit.js";

/** A classifier, a detector and a segmenter of the embedded world on one backbone: the models of a line. */
export const WORLD_LINE_PATH = fileURLToPath(new URL("../../models/line", import.meta.url));
const BACKBONE = "resnet";

/**
 * How PatchLine is used where nothing else is said; chosen on handwriting of the validation split under dusk, rain and glare. Low-rank
 * changes bear ten times the learning rate of whole weights, so that few epochs do, measured before and after. In so few a choice of
 * samples costs more than it saves: all train.
 */
export const LINE_DEFAULTS = {
  ...{ patch: { rank: 2 }, count: 3, learningRate: 1e-2, batchSize: 16 },
  ...{ heads: "all", headScale: 0.3, biasScale: 1 },
  ...{ budget: { base: 4, discount: 0.35 }, measureEvery: Infinity, targetShare: 1, selection: null },
} as const satisfies Partial<LineOptions>;

/** Pictures that train, that tell when to stop, and that are measured on. */
const SAMPLES = { pool: 128, held: 64, tested: 128 } as const;
const SHOWN = 3;

/** One model after one drift. Units: shares in [0, 1]; multiply-accumulates; seconds. */
export interface LineRow {
  readonly drift: string;
  readonly task: TaskName;
  readonly metric: string;
  readonly source: number;
  readonly patched: number;
  readonly patches: number;
  readonly start: StartSource;
  readonly from: string | null;
  readonly epochs: number;
  readonly samples: number;
  /** Of the patches and what trained with them, and of the whole model as a file. */
  readonly macs: number;
  readonly seconds: number;
}

/** A picture and what each model answers before and after. */
export interface LinePicture {
  readonly image: Image;
  readonly truth: Truth;
  readonly label: number;
  readonly answers: readonly { readonly task: TaskName; readonly before: unknown; readonly after: unknown }[];
}

export interface LineVisit {
  readonly drift: string;
  readonly rows: readonly LineRow[];
  readonly pictures: readonly LinePicture[];
}

export interface LineDemoOptions extends LongCall, SessionOptions, MachineOptions {
  readonly seed: number;
  readonly drifts: readonly string[];
  readonly onEvent: OnEvent;
  readonly modelsPath?: string | undefined;
}

/**
 * Three models on one shared stream are patched in line after each drift. A missing model leaves its task out.
 * Throws: as `patchLine`.
 */
export async function* meetInLine(options: LineDemoOptions): AsyncGenerator<LineVisit, void, undefined> {
  const { seed, threads, signal, onProgress, onEvent } = options;
  await using machine = createMachine(options);
  let members = await openMembers(options, machine);
  const world = createWorld({ seed });
  const library = new PatchLibrary();
  for (const drift of options.drifts) {
    const lessons = world.dataset("validation", SAMPLES.pool + SAMPLES.held, [drift]).domains[0]!;
    const tests = world.dataset("test", SAMPLES.tested, [drift]).domains[0]!;
    const all = Array.from({ length: lessons.samples }, (_, i) => i);
    const shown = { domain: lessons, pool: all.slice(0, SAMPLES.pool), held: all.slice(SAMPLES.pool) };
    const ledger = new Ledger();
    const rows: LineRow[] = [];
    const next = new Map<string, Member>();
    for await (const each of patchLine(members, shown, {
      ...{ ...LINE_DEFAULTS, machine, threads, seed, signal, ledger, library },
      onProgress: (progress) => onProgress?.({ ...progress, stage: "line" }),
    })) {
      const { member, start, groups, courses, samples } = each;
      next.set(member.name, member);
      const task = member.name as TaskName;
      const row: LineRow = {
        ...{ drift, task, metric: taskOf(member.source).metric },
        source: await score({ ...member, serving: member.source }, tests, machine, options),
        patched: await score(member, tests, machine, options),
        ...{ patches: groups.length, start: start.source, from: start.from ?? null },
        epochs: courses.reduce((sum, { losses }) => sum + losses.length, 0),
        samples,
        ...{ macs: ledger.total({ model: task }).macs, seconds: ledger.total({ model: task }).seconds },
      };
      rows.push(row);
      const { seconds: workSeconds, ...fields } = row; // the journal has seconds of its own
      onEvent("line-patched", { ...fields, workSeconds });
    }
    members = members.map((member) => next.get(member.name)!);
    yield { drift, rows, pictures: await show(members, tests, machine, options) };
  }
}

async function openMembers(options: LineDemoOptions, machine: Machine): Promise<readonly Member[]> {
  const day = createWorld({ seed: options.seed }).dataset("validation", SAMPLES.tested, ["day"]).domains[0]!;
  const members: Member[] = [];
  for (const task of TASKS) {
    const path = join(options.modelsPath ?? WORLD_LINE_PATH, `${BACKBONE}-${task}.onnx`);
    const model = await readModelFile(path).catch((error: unknown) => {
      if (isLimberError(error, "io.not-found")) return undefined;
      throw error;
    });
    if (!model) continue;
    const preprocessing = parsePreprocessing(preprocessingFromMetadata(model.metadata), path);
    const member = createMember(model, { name: task, preprocessing, before: 0 });
    members.push({ ...member, before: await score(member, day, machine, options) });
  }
  return members;
}

async function score(
  { serving, head, preprocessing }: Member,
  domain: Domain,
  machine: Machine,
  { threads, signal }: LineDemoOptions,
): Promise<number> {
  const predictor = await Predictor.create(machine, serving, { threads });
  const { value } = await evaluateTask(predictor, head, domain, { preprocessing, batchSize: 32, signal });
  await predictor.dispose();
  return value;
}

/** The first pictures of a domain, whatever they show, with the answers of all models. */
async function show(
  members: readonly Member[],
  domain: Domain,
  machine: Machine,
  { threads }: LineDemoOptions,
): Promise<LinePicture[]> {
  const indices = Array.from({ length: SHOWN }, (_, i) => i);
  const answers = [];
  for (const { name, head, preprocessing, source, serving } of members) {
    const answersOf = async (model: Member["source"]): Promise<readonly unknown[]> => {
      const predictor = await Predictor.create(machine, model, { threads });
      const reading = { preprocessing, batchSize: SHOWN, indices };
      const found: unknown[] = [];
      for await (const { images } of batches(domain, reading))
        found.push(...head.decode((await predictor.predict(images)).output));
      await predictor.dispose();
      return found;
    };
    answers.push({ task: name as TaskName, before: await answersOf(source), after: await answersOf(serving) });
  }
  const pictures: LinePicture[] = [];
  for (const index of indices) {
    const reading = await domain.read(index);
    if ("unreadable" in reading) continue;
    pictures.push({
      ...{ image: levelsOf(reading.image), truth: (await domain.truth?.(index)) ?? {}, label: domain.label(index) },
      answers: answers.map(({ task, before, after }) => ({ task, before: before[index], after: after[index] })),
    });
  }
  return pictures;
}
