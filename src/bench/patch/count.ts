import { type LongCall, throwIfAborted } from "../../base/index.js";
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
  corruptDomain,
  type Domain,
  parsePreprocessing,
  preprocessingFromMetadata,
  preprocessingToMetadata,
  selectSamples,
  type Severity,
} from "../../vision/index.js";
import { corruptionNames } from "../../vision/corrupt/index.js";
import { onMachines } from "../on-machines.js";
import { drawDrift, keepShown, type Scene } from "./scene.js";

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
  const { count, macs, seconds } = await countPatches(counter, domain, { ...options, preprocessing, indices });
  ledger.add({ model: "line", technique: "predictor", macs, seconds, count: indices.length });
  return count;
}

/** Corruptions that no benchmark reports, at three strengths, of the pictures that the models know: what counting is learnt from. */
const LESSONS = corruptionNames("held-out");
const STRENGTHS: readonly Severity[] = [1, 3, 5];
/** Pictures of a drift that patches train on, that tell how good they are, and that the network learns from. */
const [POOL, HELD, TAUGHT] = [192, 400, 100];
/** Side of the pictures that the network sees, at most. Units: pixels. */
const WIDEST = 64;
const EPOCHS = 10;
const BATCH_SIZE = 32;
const LEARNING_RATE = 2e-3;

/** What a network that counts has learnt, and how well it does where it has not. */
export interface CountLessons {
  readonly model: Model;
  readonly needs: readonly CountNeed[];
  /** Of one decision for each drift, by networks that saw no picture under its corruption. */
  readonly unseen: Confusion;
}

export interface CountLessonOptions extends LongCall {
  readonly threads?: number | undefined;
  /** Drifts that are tried at a time. Default 1. */
  readonly jobs?: number | undefined;
  readonly corruptions?: typeof LESSONS | undefined;
  readonly strengths?: readonly Severity[] | undefined;
  readonly pool?: number | undefined;
  readonly held?: number | undefined;
  readonly epochs?: number | undefined;
}

/**
 * Learns from the models of a scene how many patches a drift takes: patches them once with each number under each corruption (`measureNeed`) and
 * trains a network to tell the fewest that do from pictures.
 * Throws: as `patchLine` and `train`.
 */
export async function learnCounter(scene: Scene, options: CountLessonOptions): Promise<CountLessons> {
  const { threads, signal, onProgress, corruptions = LESSONS, strengths = STRENGTHS, epochs = EPOCHS } = options;
  const { jobs = 1 } = options;
  const side = Math.min(WIDEST, ...scene.models.map(({ preprocessing }) => preprocessing.width));
  const preprocessing = parsePreprocessing({ width: side, height: side, mean: 0.5, std: 0.25 });
  const members = scene.models.map(({ name, model, preprocessing }) =>
    createMember(model, { name, preprocessing, before: 1 }),
  );
  const asked = corruptions.flatMap((corruption) => strengths.map((severity) => ({ corruption, severity })));
  const known = new Map<(typeof asked)[number], Lesson>();
  await onMachines(asked, { jobs, open: createMachine }, async (each, machine) => {
    throwIfAborted(signal);
    const { corruption, severity } = each;
    const name = `${corruption} ${severity}`;
    onProgress?.({ stage: "count", done: known.size, total: asked.length, note: name });
    const domain = keepShown(corruptDomain(scene.source, corruption, { severity, name }), scene.models);
    const shown = { name, lessons: domain, test: domain };
    const drift = drawDrift(shown, { seed: 0, position: 0, pool: options.pool ?? POOL, held: options.held ?? HELD });
    const need = await measureNeed(members, drift, { ...LINE_DEFAULTS, machine, threads, seed: 0, signal });
    const pictures = selectSamples(domain, drift.pool.slice(0, TAUGHT));
    const labelled = { ...pictures, label: () => need.count - 1, tags: () => [name] };
    known.set(each, { corruption, need, domain: labelled });
  });
  const lessons = asked.map((each) => known.get(each)!);
  const groups = lessons[0]!.need.macs.length;
  const learn = async (from: readonly Lesson[]): Promise<Model> => {
    const [network, domains] = [buildCountNetwork({ imageSize: side, groups }), from.map(({ domain }) => domain)];
    const batchSize = Math.min(BATCH_SIZE, ...domains.map(({ samples }) => samples));
    const { model } = await trainCount(network, domains, {
      ...{ preprocessing, epochs, threads, signal, batchSize, learningRate: LEARNING_RATE, seed: 0 },
    });
    return { ...model, metadata: new Map([...model.metadata, preprocessingToMetadata(preprocessing)]) };
  };
  await using machine = createMachine();
  const told: { readonly truth: number; readonly count: number }[] = [];
  for (const corruption of corruptions.length > 1 ? corruptions : []) {
    const model = await learn(lessons.filter((each) => each.corruption !== corruption));
    for (const { domain } of lessons.filter((each) => each.corruption === corruption))
      told.push(...(await measureCount(model, domain, { machine, preprocessing, threads, signal })).drifts);
  }
  const unseen = confusionOf(
    told.map(({ truth }) => truth - 1),
    told.map(({ count }) => count - 1),
    groups,
  );
  return { model: await learn(lessons), needs: lessons.map(({ need }) => need), unseen };
}

interface Lesson {
  readonly corruption: string;
  readonly need: CountNeed;
  /** Its pictures, labelled with the count less one. */
  readonly domain: Domain;
}
