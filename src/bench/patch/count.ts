import { type LongCall, Random, throwIfAborted } from "../../base/index.js";
import { LINE_DEFAULTS } from "../../demo/index.js";
import type { Model } from "../../graph/index.js";
import {
  buildCountNetwork,
  type Confusion,
  confusionOf,
  type CountNeed,
  countPatches,
  createMember,
  type Drift,
  type Ledger,
  measureCount,
  measureNeed,
  trainCount,
} from "../../patch/index.js";
import { createMachine, type Machine } from "../../run/node.js";
import {
  type Domain,
  joinDomains,
  parsePreprocessing,
  preprocessingFromMetadata,
  preprocessingToMetadata,
  nameShift,
  selectSamples,
  type Shift,
  shiftDomain,
} from "../../vision/index.js";
import { corruptionNames } from "../../vision/corrupt/index.js";
import { onMachines } from "../on-machines.js";
import { drawDrift, keepShown, type Scene } from "./scene.js";

/**
 * Where three patches were needed, one cost 3.5 points on average (`limber bench patch --world digits --count learn`); to be enough a number may be one
 * point short: 3.5 / (1 + 3.5), rounded.
 */
const QUANTILE = 0.75;
/** Pictures of a drift that the network looks at. */
const ASKED = 64;

export interface AskOptions extends LongCall {
  readonly machine: Machine;
  readonly threads?: number | undefined;
  readonly ledger: Ledger;
}

/** How many patches a drift takes, by a network; what that costs is borne by all models alike. Throws: as `countPatches`. */
export async function askCounter(
  counter: Model,
  { domain, pool }: Drift,
  { ledger, ...options }: AskOptions,
): Promise<number> {
  const preprocessing = parsePreprocessing(preprocessingFromMetadata(counter.metadata), "network that counts patches");
  const indices = pool.slice(0, ASKED);
  const looking = { ...options, preprocessing, indices, quantile: QUANTILE };
  const { count, macs, seconds } = await countPatches(counter, domain, looking);
  ledger.add({ model: "line", technique: "predictor", macs, seconds, count: indices.length });
  return count;
}

const HELD_OUT = corruptionNames("held-out");
/**
 * What counting is learnt from: pictures that the models know under corruptions that no benchmark reports, mild to strong, and two of them at a time,
 * since one alone hardly ever takes more than one patch.
 */
const LESSONS: readonly Shift[] = [
  ...HELD_OUT.flatMap((one) => ([1, 3, 5] as const).map((severity): Shift => [[one, severity]])),
  ...HELD_OUT.flatMap((one, i) =>
    HELD_OUT.slice(i + 1).flatMap((other) =>
      ([3, 5] as const).map((severity): Shift => [
        [one, severity],
        [other, severity],
      ]),
    ),
  ),
];
/** Pictures of a drift that patches train on, that tell how good they are, and that the network learns from. */
const [POOL, HELD, TAUGHT] = [192, 400, 200];
/** Side of the pictures that the network sees, at most. Units: pixels. */
const WIDEST = 64;
const EPOCHS = 12;
const BATCH_SIZE = 32;
const LEARNING_RATE = 2e-3;
/** How often a drift is shown in an epoch for the sake of balance. */
const MOST_TIMES = 8;

/** What a network that counts has learnt, and how well it does where it has not. */
export interface CountLessons {
  readonly model: Model;
  readonly needs: readonly CountNeed[];
  /** Of one decision for each drift, by networks that saw no picture under its corruption; of two, under the first. */
  readonly unseen: Confusion;
}

export interface CountLessonOptions extends LongCall {
  readonly threads?: number | undefined;
  /** Drifts that are tried at a time. Default 1. */
  readonly jobs?: number | undefined;
  readonly shifts?: readonly Shift[] | undefined;
  readonly pool?: number | undefined;
  readonly held?: number | undefined;
  readonly epochs?: number | undefined;
}

/**
 * Learns from the models of a scene how many patches a drift takes: patches them once with each number under each of them (`measureNeed`) and
 * trains a network to tell the fewest that do from pictures.
 * Throws: as `patchLine` and `train`.
 */
export async function learnCounter(scene: Scene, options: CountLessonOptions): Promise<CountLessons> {
  const { threads, jobs = 1, signal, onProgress, shifts = LESSONS, epochs = EPOCHS } = options;
  const side = Math.min(WIDEST, ...scene.models.map(({ preprocessing }) => preprocessing.width));
  const preprocessing = parsePreprocessing({ width: side, height: side, mean: 0.5, std: 0.25 });
  const members = scene.models.map(({ name, model, preprocessing }) =>
    createMember(model, { name, preprocessing, before: 1 }),
  );
  // the same ones under each: what is on a picture must not tell its label
  const all = Array.from({ length: scene.source.samples }, (_, i) => i);
  const taught = new Random(0).fork("count").shuffled(all).slice(0, TAUGHT);
  const known = new Map<Shift, Lesson>();
  await onMachines(shifts, { jobs, open: createMachine }, async (shift, machine) => {
    throwIfAborted(signal);
    const name = nameShift(shift);
    onProgress?.({ stage: "count", done: known.size, total: shifts.length, note: name });
    const domain = keepShown({ ...shiftDomain(scene.source, shift), name }, scene.models);
    const shown = { name, lessons: domain, test: domain };
    const drift = drawDrift(shown, { seed: 0, position: 0, pool: options.pool ?? POOL, held: options.held ?? HELD });
    const need = await measureNeed(members, drift, { ...LINE_DEFAULTS, machine, threads, seed: 0, signal });
    const labelled = { ...selectSamples(domain, taught), label: () => need.count - 1, tags: () => [name] };
    known.set(shift, { shift, need, domain: labelled });
  });
  const lessons = shifts.map((shift) => known.get(shift)!);
  const groups = lessons[0]!.need.macs.length;
  const learn = async (from: readonly Lesson[]): Promise<Model> => {
    // joined, so that each batch shows several drifts: normalized by a batch of one drift, it would not be told apart
    const lessons = joinDomains("drifts", balanced(from));
    const batchSize = Math.min(BATCH_SIZE, lessons.samples);
    const { model } = await trainCount(buildCountNetwork({ imageSize: side, groups }), lessons, {
      ...{ preprocessing, epochs, threads, signal, batchSize, learningRate: LEARNING_RATE, seed: 0 },
    });
    return { ...model, metadata: new Map([...model.metadata, preprocessingToMetadata(preprocessing)]) };
  };
  await using machine = createMachine();
  const told: { readonly truth: number; readonly count: number }[] = [];
  // each drift once, by a network that saw nothing of the corruption that comes first in it
  const firstOf = ([first]: Shift): string => first![0];
  for (const left of new Set(shifts.map(firstOf))) {
    const rest = lessons.filter(({ shift }) => shift.every(([corruption]) => corruption !== left));
    if (rest.length === 0) continue;
    const model = await learn(rest);
    for (const { domain } of lessons.filter(({ shift }) => firstOf(shift) === left))
      told.push(
        ...(await measureCount(model, domain, { machine, preprocessing, threads, signal, quantile: QUANTILE })).drifts,
      );
  }
  const unseen = confusionOf(
    told.map(({ truth }) => truth - 1),
    told.map(({ count }) => count - 1),
    groups,
  );
  return { model: await learn(lessons), needs: lessons.map(({ need }) => need), unseen };
}

/** Drifts that take a rare number of patches several times, so that all numbers are about as frequent. */
function balanced(lessons: readonly Lesson[]): Domain[] {
  const like = ({ need: { count } }: Lesson): number => lessons.filter(({ need }) => need.count === count).length;
  const most = Math.max(...lessons.map(like));
  return lessons.flatMap((lesson) => {
    const times = Math.min(MOST_TIMES, Math.round(most / like(lesson)));
    return Array.from({ length: times }, () => lesson.domain);
  });
}

interface Lesson {
  readonly shift: Shift;
  readonly need: CountNeed;
  /** Its pictures, labelled with the count less one. */
  readonly domain: Domain;
}
