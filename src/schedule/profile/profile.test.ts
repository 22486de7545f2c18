import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Progress } from "../../base/index.js";
import type { RunTensor } from "../../run/node.js";
import type { Level } from "../app.js";
import type { RunningApp } from "../running-app.js";
import { interpolateLevels, levelsOfProfile, profileApp, profileDriftOf, type ProfileOptions } from "./index.js";

const unmeasured = (size: number): Level => ({
  ...{ name: `${size}`, sparsity: 1 - size / 100, size },
  ...{ inferMs: 0, stepMs: 0, makeMs: 0, memoryBytes: 1000 * size },
});

/** An app whose work takes the time that its clock is moved by: every third time three times as long. */
class Clockwork {
  time = 0;
  opened = 0;
  private calls = 0;
  readonly disposed: string[] = [];
  readonly now = (): number => this.time;

  private async take(ms: number): Promise<void> {
    this.time += this.calls++ % 3 === 2 ? 3 * ms : ms;
    await Promise.resolve();
  }

  create(threads: number, sizes: readonly number[]): RunningApp {
    this.opened++;
    let level: number | undefined;
    const size = (): number => sizes[level!]!;
    const output: RunTensor = { dtype: "float32", dims: [1, 1], data: new Float32Array(1) };
    return {
      name: "clockwork",
      task: "classification",
      levels: sizes.map(unmeasured),
      get level() {
        return level;
      },
      steps: 0,
      observe: () => undefined,
      forget: () => undefined,
      predict: async (images) => {
        await this.take((images.dims[0]! * size()) / threads);
        return output;
      },
      remodel: async (to) => {
        level = to;
        await this.take(7);
      },
      step: () => this.take((10 * size()) / threads),
      swap: async () => Promise.resolve(),
      signals: () => Promise.reject(new Error("not asked for")),
      [Symbol.asyncDispose]: () => Promise.resolve(void this.disposed.push("clockwork")),
    };
  }
}

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "limber-profile-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const pictures: RunTensor = { dtype: "float32", dims: [4, 1, 2, 2], data: new Float32Array(16) };
const settings = [
  { threads: 1, batchSize: 1 },
  { threads: 2, batchSize: 4 },
];
const profileOf = (clock: Clockwork, more: Partial<ProfileOptions> = {}, sizes = [10, 20, 40]) =>
  profileApp(({ threads }) => Promise.resolve(clock.create(threads, sizes)), {
    ...{ app: "clockwork", pictures, settings, folder, now: clock.now },
    ...more,
  });

describe("the profile of an app", () => {
  test("holds medians of each level at each setting, with the memory that the app states", async () => {
    const clock = new Clockwork();
    const profile = await profileOf(clock);
    expect(profile.rows.map(({ threads, batchSize }) => ({ threads, batchSize }))).toEqual(settings);
    for (const { threads, levels } of profile.rows)
      expect(levels).toEqual(
        [10, 20, 40].map((size) => ({
          ...unmeasured(size),
          ...{ inferMs: size / threads, stepMs: (10 * size) / threads, makeMs: 7 },
        })),
      );
    expect(clock.disposed).toHaveLength(2);
  });

  test("is measured once for each setting, and again when asked to", async () => {
    const clock = new Clockwork();
    const [first] = settings;
    await profileOf(clock, { settings: [first!] });
    const both = await profileOf(clock);
    expect(clock.opened).toBe(2);
    expect(await profileOf(clock)).toEqual(both);
    expect(clock.opened).toBe(2);
    await profileOf(clock, { isFresh: true });
    expect(clock.opened).toBe(4);
    expect(await readdir(folder)).toHaveLength(1);
  });

  test("is of its own machine and app only", async () => {
    const clock = new Clockwork();
    await profileOf(clock);
    await profileOf(clock, { app: "another" });
    await profileOf(clock, { provider: "webgpu" });
    expect(clock.opened).toBe(6);
    expect(await readdir(folder)).toHaveLength(3);
  });

  test.each(["{", '{"version":2}', '{"version":1,"app":"clockwork","rows":[]}'])(
    "is measured again where the file says %s",
    async (text) => {
      const clock = new Clockwork();
      const profile = await profileOf(clock);
      const path = join(folder, (await readdir(folder))[0]!);
      await writeFile(path, text);
      expect(await profileOf(clock)).toEqual(profile);
      expect(clock.opened).toBe(4);
      expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ version: 1, app: "clockwork" });
    },
  );

  test("is measured although the folder cannot be written", async () => {
    const path = join(folder, "file");
    await writeFile(path, "");
    expect((await profileOf(new Clockwork(), { folder: path })).rows).toHaveLength(2);
  });

  test("takes five levels of many, the first and the last among them, unless told which", async () => {
    const sizes = Array.from({ length: 21 }, (_, i) => 10 + i);
    const spread = await profileOf(new Clockwork(), {}, sizes);
    expect(spread.rows[0]!.levels.map(({ size }) => size)).toEqual([10, 15, 20, 25, 30]);
    const chosen = await profileOf(new Clockwork(), { levels: [0, 20], isFresh: true }, sizes);
    expect(chosen.rows[0]!.levels.map(({ size }) => size)).toEqual([10, 30]);
    await expect(profileOf(new Clockwork(), { levels: [21], isFresh: true }, sizes)).rejects.toThrow(
      /levels from 0 to 20/,
    );
  });

  test("tells how far it is, and stops when asked to, with the app closed", async () => {
    const seen: Progress[] = [];
    await profileOf(new Clockwork(), { onProgress: (progress) => seen.push(progress) });
    expect(seen.map(({ done, total }) => [done, total])).toEqual([0, 1, 2, 3, 3, 4, 5, 6].map((done) => [done, 6]));
    const clock = new Clockwork();
    const stop = new AbortController();
    const stopped = profileOf(clock, { isFresh: true, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
    expect(clock.disposed).toHaveLength(1);
  });

  test("refuses settings without threads, and fewer pictures than a batch", async () => {
    await expect(profileOf(new Clockwork(), { settings: [] })).rejects.toThrow(/settings of threads/);
    const large = [{ threads: 1, batchSize: 5 }];
    await expect(profileOf(new Clockwork(), { settings: large })).rejects.toThrow(
      /5 pictures for the largest batch, got 4/,
    );
  });

  test("gives the levels of a setting, those between them too, and refuses other settings", async () => {
    const profile = await profileOf(new Clockwork());
    expect(levelsOfProfile(profile, settings[1]!)).toHaveLength(3);
    expect(levelsOfProfile(profile, settings[1]!, { quantum: 5 })).toHaveLength(7);
    expect(() => levelsOfProfile(profile, { threads: 3, batchSize: 1 })).toThrow(/1 with 1, 2 with 4, got 3 with 1/);
  });
});

describe("a ladder of levels", () => {
  const at = (size: number, inferMs: number): Level => ({ ...unmeasured(size), inferMs });

  test("goes from filter to filter in a straight line between those measured", () => {
    const ladder = interpolateLevels([at(4, 1), at(8, 3), at(9, 3.5)]);
    expect(ladder.map(({ size, inferMs }) => [size, inferMs])).toEqual([
      [4, 1],
      [5, 1.5],
      [6, 2],
      [7, 2.5],
      [8, 3],
      [9, 3.5],
    ]);
    expect(ladder[1]).toMatchObject({ name: "size 5", sparsity: 0.95, memoryBytes: 5000 });
  });

  test("rises in size by one quantum at most, and holds each level measured", () => {
    const levels = fc
      .uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 })
      .map((sizes) => sizes.sort((a, b) => a - b).map((size) => at(size, size ** 1.5)));
    fc.assert(
      fc.property(levels, fc.integer({ min: 1, max: 9 }), (measured, quantum) => {
        const ladder = interpolateLevels(measured, { quantum });
        for (const level of measured) expect(ladder).toContain(level);
        ladder.slice(1).forEach(({ size, inferMs }, i) => {
          expect(size - ladder[i]!.size).toBeGreaterThan(0);
          expect(size - ladder[i]!.size).toBeLessThanOrEqual(quantum);
          expect(inferMs).toBeGreaterThan(ladder[i]!.inferMs);
        });
      }),
      { numRuns: 30, seed: 1 },
    );
  });

  test("wants sizes that rise, and a quantum of whole filters", () => {
    expect(() => interpolateLevels([at(8, 1), at(4, 1)])).toThrow(/sizes from small to large, got 4 after 8/);
    expect(() => interpolateLevels([at(8, 1)], { quantum: 0.5 })).toThrow(/a quantum of 1, 2/);
  });
});

describe("the drift of a profile", () => {
  const times = (...ratios: number[]) => ratios.map((ratio) => ({ profiledMs: 10, measuredMs: 10 * ratio }));
  const repeat = (ratio: number, count: number): number[] => new Array<number>(count).fill(ratio);

  test("is none for times as profiled, however many, and one slow one among them", () => {
    expect(profileDriftOf(times(...repeat(1, 50)))).toEqual({ ratio: 1, isStale: false });
    expect(profileDriftOf(times(...repeat(1.1, 20), 30, ...repeat(1, 20))).isStale).toBe(false);
  });

  test("is noticed within a dozen times twice as long, or half as long", () => {
    for (const ratio of [2, 0.5]) {
      expect(profileDriftOf(times(...repeat(ratio, 10))).isStale).toBe(true);
      expect(profileDriftOf(times(...repeat(ratio, 9))).isStale).toBe(false);
      expect(profileDriftOf(times(...repeat(ratio, 60))).ratio).toBeCloseTo(ratio, 4);
    }
  });

  test("goes by the tolerance and patience asked for", () => {
    expect(profileDriftOf(times(...repeat(1.2, 40))).isStale).toBe(false);
    expect(profileDriftOf(times(...repeat(1.2, 40)), { tolerance: 1.1 }).isStale).toBe(true);
    expect(profileDriftOf(times(...repeat(2, 20)), { patience: 30 }).isStale).toBe(false);
  });

  test("skips times that are none", () => {
    expect(
      profileDriftOf([
        { profiledMs: 0, measuredMs: 1 },
        { profiledMs: 1, measuredMs: NaN },
      ]),
    ).toEqual({ ratio: 1, isStale: false });
  });
});
