import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { createMachine } from "../../run/node.js";
import { taskOf } from "../../vision/index.js";
import type { Learner, Lesson } from "../apps/learner.js";
import type { Trace } from "../trace.js";
import { type RecordedApp, recordTrace, type RecordOptions } from "./record-trace.js";
import { readTrace, writeTrace } from "./trace-file.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

const models = [tinyNetwork(1), tinyNetwork(2)];

/** Its model is that of the level until it has seen three lessons, then another. */
class Pupil implements Learner {
  readonly sizes = [
    { name: "small", size: 1 },
    { name: "large", size: 2 },
  ];
  private level = 0;
  private steps = 0;

  constructor(private readonly lessons: Lesson[]) {}

  make(level: number): Promise<void> {
    [this.level, this.steps] = [level, 0];
    return Promise.resolve();
  }
  step(lesson: Lesson): Promise<void> {
    this.lessons.push(lesson);
    this.steps++;
    return Promise.resolve();
  }
  exportModel() {
    return Promise.resolve(models[(this.level + (this.steps >= 3 ? 1 : 0)) % 2]!);
  }
  makeNeighbour() {
    return Promise.resolve(models[(this.level + 1) % 2]!);
  }
  stepBytes(batchSize: number): number {
    return 100 * batchSize;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

const [dark, bright] = [squares("dark", 24, { level: (x) => x / 3 }), squares("bright", 24, { level: (x) => 255 - x })];

function appWith(lessons: Lesson[], isTaught: boolean): RecordedApp {
  const [model] = models;
  const head = taskOf(model!).open(model!, TINY_PREPROCESSING);
  return {
    ...{ kind: "squares", task: "classification", metric: "accuracy", head, preprocessing: TINY_PREPROCESSING },
    ...{ isTaught, createLearner: () => new Pupil(lessons) },
  };
}
const options: RecordOptions = {
  ...{ machine, threads: 1, source: squares("source", 24), steps: [0, 2, 4], pool: 8, held: 16, batchSize: 4 },
  ...{ command: "test", machineName: "any", seed: 1 },
  drifts: [
    { name: "dark", isValidation: true, domain: dark },
    { name: "bright", isValidation: false, domain: bright },
  ],
};
const curvesOf = ({ drifts }: Trace) => drifts.map(({ name, curves }) => ({ name, curves }));

describe("recordTrace", () => {
  test("tells costs, source scores and a curve for each drift and level, at the steps asked for", async () => {
    const lessons: Lesson[] = [];
    const trace = await recordTrace(appWith(lessons, false), options);
    expect(trace).toMatchObject({ version: 1, kind: "squares", task: "classification", metric: "accuracy" });
    expect(trace.levels.map(({ name, size, memoryBytes }) => [name, size, memoryBytes])).toEqual([
      ["small", 1, 400],
      ["large", 2, 400],
    ]);
    for (const { inferMs, makeMs } of trace.levels) expect(inferMs > 0 && makeMs > 0).toBe(true);
    expect([trace.sourceScores.length, trace.sourceSignals?.length]).toEqual([2, 2]);
    expect(trace.drifts.map(({ name, isValidation }) => [name, isValidation])).toEqual([
      ["dark", true],
      ["bright", false],
    ]);
    for (const { curves } of trace.drifts)
      for (const [level, curve] of curves.entries()) {
        expect([curve.level, curve.steps]).toEqual([level, [0, 2, 4]]);
        // a curve changes where the model does
        expect(curve.signals[0]).toEqual(curve.signals[1]);
        expect(curve.signals[2]).not.toEqual(curve.signals[0]);
      }
    // the level that a model turns into: its scores are those of the other at the start
    const [small, large] = trace.drifts[0]!.curves;
    expect(small!.scores[2]).toBe(large!.scores[0]);
    expect(lessons.every(({ images, targets }) => images.dims[0] === 4 && targets === undefined)).toBe(true);
  });

  test("gives labels to those who need them, and the same lessons every time", async () => {
    const [first, second]: [Lesson[], Lesson[]] = [[], []];
    const recorded = await recordTrace(appWith(first, true), options);
    await recordTrace(appWith(second, true), { ...options, recorded: { ...recorded, drifts: [] } });
    const taught = first.slice(-16);
    expect(taught.every(({ targets }) => targets?.dims[0] === 4)).toBe(true);
    expect(second).toEqual(taught);
  });

  test("takes over what was recorded before, and goes on with the rest", async () => {
    const whole = await recordTrace(appWith([], false), options);
    const lessons: Lesson[] = [];
    const saved: string[][] = [];
    const first = { ...whole, drifts: whole.drifts.slice(0, 1) };
    const trace = await recordTrace(appWith(lessons, false), {
      ...options,
      recorded: first,
      onRecorded: ({ drifts }) => Promise.resolve(void saved.push(drifts.map(({ name }) => name))),
    });
    expect(curvesOf(trace)).toEqual(curvesOf(whole));
    expect(trace.levels).toEqual(whole.levels);
    expect(lessons).toHaveLength(2 * 4);
    expect(saved).toEqual([["dark", "bright"]]);
  });

  test("stops between drifts when told to", async () => {
    const stop = new AbortController();
    const onRecorded = () => Promise.resolve(stop.abort());
    const stopped = recordTrace(appWith([], false), { ...options, onRecorded, signal: stop.signal });
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("a trace file", () => {
  test("holds what was written, and is refused where it holds something else", async () => {
    const folder = await mkdtemp(join(tmpdir(), "limber-trace-"));
    try {
      const trace = await recordTrace(appWith([], false), options);
      const path = join(folder, "squares.json");
      await writeTrace(path, trace);
      expect(await readTrace(path)).toEqual(trace);
      const text = await readFile(path, "utf8");
      for (const broken of [
        text.slice(0, 50),
        text.replace('"version": 1', '"version": 2'),
        text.replace("[0,2,4]", "[0,2]"),
      ]) {
        await writeFile(path, broken);
        await expect(readTrace(path)).rejects.toMatchObject({ code: "data.invalid" });
      }
      await expect(readTrace(join(folder, "none.json"))).rejects.toMatchObject({ code: "io.not-found" });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
