import { median, throwIfAborted, type StopSignal } from "../../base/index.js";
import { type Machine, Predictor, type SessionOptions } from "../../run/node.js";
import type { Level } from "../app.js";
import type { Learner, Lesson } from "../apps/learner.js";

export interface ProfileLevelsOptions extends SessionOptions {
  readonly machine: Machine;
  readonly batchSize: number;
  /** Runs of each; the median counts. Default 7. */
  readonly runs?: number | undefined;
  readonly signal?: StopSignal | undefined;
}

/**
 * What each size of a learner costs here: one picture of a batch predicted, one step, a model made and loaded. With one thread it is the processor's
 * time, which is what the clock would show if nothing else ran; with more threads it is the clock's.
 */
export async function profileLevels(
  learner: Learner,
  lesson: Lesson,
  { machine, batchSize, runs = 7, signal, ...session }: ProfileLevelsOptions,
): Promise<Level[]> {
  const { images } = lesson;
  const levels: Level[] = [];
  for (const [level, size] of learner.sizes.entries()) {
    throwIfAborted(signal);
    const load = async (): Promise<Predictor> => Predictor.create(machine, await learner.exportModel(), session);
    const make = async (): Promise<void> => {
      await learner.make(level, lesson.images);
      await (await load()).dispose();
    };
    const { threads } = session;
    const makeMs = await medianMs(3, threads, make);
    const stepMs = await medianMs(runs, threads, () => learner.step(lesson));
    await using predictor = await load();
    const batchMs = await medianMs(3 * runs, threads, () => predictor.predict(images));
    levels.push({
      ...size,
      inferMs: batchMs / images.dims[0]!,
      stepMs,
      makeMs,
      memoryBytes: learner.stepBytes(batchSize),
    });
  }
  return levels;
}

/** Once to warm up, then so many times. */
async function medianMs(runs: number, threads: number | undefined, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const [started, used] = [performance.now(), process.cpuUsage()];
    await work();
    const { user, system } = process.cpuUsage(used);
    times.push(threads === 1 ? (user + system) / 1000 : performance.now() - started);
  }
  return Number(median(times.slice(1)).toPrecision(4));
}
