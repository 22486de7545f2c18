import { evaluateTask } from "../../adapt/index.js";
import { type LongCall, Random, throwIfAborted } from "../../base/index.js";
import type { Model } from "../../graph/index.js";
import { KeptTrainers, type Machine, Predictor, type RunTensor, type SessionOptions } from "../../run/node.js";
import {
  type Batch,
  batches,
  type Domain,
  keepFitted,
  type Preprocessing,
  type TaskHead,
  type TaskName,
} from "../../vision/index.js";
import type { Level } from "../app.js";
import { answer } from "../apps/answers.js";
import { type Learner, type Lesson, neighbourOf } from "../apps/learner.js";
import { type LevelOutput, measureReference, signalsOf, type SourceReference } from "../estimate/signals.js";
import type { Trace, TraceCurve, TraceDrift } from "../trace.js";
import { profileLevels } from "./profile-levels.js";

/** A drift to be recorded. */
export interface RecordedDrift {
  readonly name: string;
  readonly isValidation: boolean;
  readonly domain: Domain;
}

/** An app as the recorder meets it. */
export interface RecordedApp {
  readonly kind: string;
  readonly task: TaskName;
  readonly metric: string;
  readonly head: TaskHead<unknown>;
  readonly preprocessing: Preprocessing;
  /** A new one for each curve; compiled steps may be kept between them. */
  readonly createLearner: (machine: Machine, trainers?: KeptTrainers) => Learner;
  /** Whether lessons come with labels. */
  readonly isTaught: boolean;
}

export interface RecordOptions extends LongCall, SessionOptions {
  readonly machine: Machine;
  /** Pictures of the source that did not train the model. */
  readonly source: Domain;
  readonly drifts: readonly RecordedDrift[];
  /** Steps after which it is measured, the first 0. */
  readonly steps: readonly number[];
  /** Pictures to learn from, and pictures to measure on, of each drift. */
  readonly pool: number;
  readonly held: number;
  readonly batchSize: number;
  readonly command: string;
  readonly machineName: string;
  readonly seed?: number | undefined;
  /** What was recorded before: drifts of these names are taken over. */
  readonly recorded?: Trace | undefined;
  /** Called with all that is recorded so far after each drift. */
  readonly onRecorded?: ((trace: Trace) => Promise<void>) | undefined;
}

/**
 * Records how an app fares in each drift at each level: makes the model of the level for pictures of the drift, trains it step by step on
 * those, and measures its true score on others. Every curve starts from the master as it came.
 *
 * Throws: `aborted`, what learners throw.
 */
export async function recordTrace(app: RecordedApp, options: RecordOptions): Promise<Trace> {
  const { machine, drifts, recorded, onRecorded, onProgress, signal } = options;
  await using trainers = new KeptTrainers(machine);
  const recorder = new Recorder(app, options, trainers);
  const origin = await recorder.measureSource(recorded);
  const known = new Map(recorded?.drifts.map((drift) => [`${drift.name} ${drift.isValidation}`, drift]));
  const found: TraceDrift[] = [];
  const trace = (): Trace => ({ ...origin.trace, drifts: [...found] });
  for (const [done, drift] of drifts.entries()) {
    throwIfAborted(signal);
    onProgress?.({ stage: "record", done, total: drifts.length, note: `${app.kind}, ${drift.name}` });
    const before = known.get(`${drift.name} ${drift.isValidation}`);
    found.push(before ?? (await recorder.record(drift, origin.reference)));
    if (!before) await onRecorded?.(trace());
  }
  return trace();
}

/** What an app is at its source: levels with their costs, scores and signals there, and what later signals are compared with. */
export interface MeasuredSource {
  readonly trace: Omit<Trace, "drifts">;
  readonly reference: SourceReference;
}

/** Measures an app at its source. Costs of levels that are `recorded` are taken over. Throws: what learners throw. */
export async function measureSource(
  app: RecordedApp,
  {
    recorded,
    ...options
  }: Omit<RecordOptions, "drifts" | "steps" | "recorded" | "onRecorded"> & {
    readonly recorded?: Pick<Trace, "levels"> | undefined;
  },
): Promise<MeasuredSource> {
  await using trainers = new KeptTrainers(options.machine);
  return await new Recorder(app, { ...options, drifts: [], steps: [0] }, trainers).measureSource(recorded);
}

/** Pictures of one domain, all in memory. */
interface Sight {
  readonly images: RunTensor;
  readonly batch: Batch;
}

class Recorder {
  constructor(
    private readonly app: RecordedApp,
    private readonly options: RecordOptions,
    private readonly trainers: KeptTrainers,
  ) {}

  /** Levels with their costs and source scores, and what signals are compared with. Costs that are known are taken over. */
  async measureSource(recorded: Pick<Trace, "levels"> | undefined): Promise<MeasuredSource> {
    const { app, options, trainers } = this;
    const { machine, batchSize, command, machineName } = options;
    const source = keepFitted(options.source, app.preprocessing);
    const { pool, held } = this.parts(source);
    const sight = await this.see(source, pool);
    const scores: number[] = [];
    const outputs: LevelOutput[] = [];
    let levels: readonly Level[] = recorded?.levels ?? [];
    await using learner = app.createLearner(machine, trainers);
    for (const level of learner.sizes.keys()) {
      await learner.make(level, sight.images);
      const model = await learner.exportModel();
      scores.push(await this.scoreOf(model, source, held));
      outputs.push(await this.outputOf(learner, model, level, sight.images));
    }
    if (levels.length === 0) {
      const lesson = this.lessonOf(await this.see(source, pool.slice(0, batchSize)));
      levels = await profileLevels(learner, lesson, options);
    }
    const reference = measureReference(
      app.task,
      app.head,
      outputs.map((output, level) => ({ ...output, score: scores[level]! })),
    );
    const sourceSignals = outputs.map((output, level) => roundAll(signalsOf(output, app.head, reference, level)));
    const { kind, task, metric } = app;
    return {
      trace: {
        ...{ version: 1, kind, task, metric, command, machine: machineName },
        ...{ sourceScores: scores.map(round), sourceSignals, levels },
      },
      reference,
    };
  }

  async record({ name, isValidation, ...drift }: RecordedDrift, reference: SourceReference): Promise<TraceDrift> {
    const { app, options, trainers } = this;
    const domain = keepFitted(drift.domain, app.preprocessing);
    const { machine, batchSize, steps, seed = 0 } = options;
    const { pool, held } = this.parts(domain);
    const sight = await this.see(domain, pool);
    const curves: TraceCurve[] = [];
    for (const level of reference.levels.keys()) {
      throwIfAborted(options.signal);
      await using learner = app.createLearner(machine, trainers);
      const random = new Random(seed).fork(`${name} ${level}`);
      await learner.make(level, sight.images);
      const curve: { steps: number[]; scores: number[]; signals: TraceCurve["signals"][number][] } = {
        ...{ steps: [], scores: [], signals: [] },
      };
      for (let step = 0; step <= steps.at(-1)!; step++) {
        if (steps.includes(step)) {
          const model = await learner.exportModel();
          const output = await this.outputOf(learner, model, level, sight.images);
          const signals = signalsOf(output, app.head, reference, level);
          curve.steps.push(step);
          curve.scores.push(round(await this.scoreOf(model, domain, held)));
          curve.signals.push(roundAll(signals));
        }
        if (step < steps.at(-1)!) await learner.step(this.lessonOf(draw(sight, batchSize, random)));
      }
      curves.push({ level, ...curve });
    }
    return { name, isValidation, curves };
  }

  private parts({ samples }: Domain): { readonly pool: number[]; readonly held: number[] } {
    const { pool, held } = this.options;
    const all = Array.from({ length: Math.min(samples, pool + held) }, (_, i) => i);
    const learnt = Math.min(pool, Math.floor(all.length / 2));
    return { pool: all.slice(0, learnt), held: all.slice(learnt) };
  }

  private async see(domain: Domain, indices: readonly number[]): Promise<Sight> {
    const { preprocessing } = this.app;
    for await (const batch of batches(domain, { preprocessing, batchSize: indices.length, indices, truth: true }))
      return { images: batch.images, batch };
    throw new Error("a domain has pictures");
  }

  private lessonOf({ images, batch }: Sight): Lesson {
    return this.app.isTaught ? { images, targets: this.app.head.encode(batch) } : { images };
  }

  private async outputOf(learner: Learner, model: Model, level: number, images: RunTensor): Promise<LevelOutput> {
    const { trainers, options } = this;
    const { threads } = options;
    const beside = neighbourOf(level, learner.sizes.length);
    const own = await answer(model, images, { trainers, threads, key: String(level) });
    const neighbour = await answer(await learner.makeNeighbour(), images, { trainers, threads, key: String(beside) });
    return { ...own, neighbour: neighbour.output };
  }

  private async scoreOf(model: Model, domain: Domain, indices: readonly number[]): Promise<number> {
    const { machine, threads } = this.options;
    const { head, preprocessing } = this.app;
    const predictor = await Predictor.create(machine, model, { threads });
    const { value } = await evaluateTask(predictor, head, domain, { indices, preprocessing, batchSize: 64 });
    await predictor.dispose();
    return value;
  }
}

/** Some of the pictures at random, with their truth. */
function draw({ batch }: Sight, count: number, random: Random): Sight {
  const rows = random.shuffled([...batch.indices.keys()]).slice(0, count);
  const { images } = batch;
  const length = images.data.length / images.dims[0]!;
  const data = new Float32Array(rows.length * length);
  rows.forEach((row, i) => data.set(images.data.subarray(row * length, (row + 1) * length), i * length));
  const chosen = { dtype: "float32" as const, dims: images.dims.with(0, rows.length), data };
  const truths = batch.truths && rows.map((row) => batch.truths![row]!);
  const pick = (from: Int32Array): Int32Array => Int32Array.from(rows, (row) => from[row]!);
  return {
    images: chosen,
    batch: { images: chosen, labels: pick(batch.labels), indices: pick(batch.indices), truths, skipped: [] },
  };
}

const round = (value: number): number => Number(value.toPrecision(4));
const roundAll = <T extends object>(values: T): T =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, round(value as number)])) as T;
