import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  addMeasurements,
  cacheFileOf,
  findCacheFolder,
  findMachineKey,
  type MachineKey,
  type Measurements,
  readMeasurements,
} from "./cache.js";

const MACHINE: MachineKey = {
  ...{ processor: "p", processors: 4, threads: 2, provider: "cpu" },
  ...{ runtime: "1.30.0", limber: "0.1.0" },
};
const one: Measurements = new Map([["input a", { times: { flipped: 1.5, folded: 2 }, rounds: 5 }]]);
const other: Measurements = new Map([["weight b", { times: { columns: 3 }, rounds: 15 }]]);

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "limber-tune-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the cache folder", () => {
  const folderOn = (platform: NodeJS.Platform, env = {}): string => findCacheFolder(env, platform);

  test("follows the custom of the platform", () => {
    expect(folderOn("linux")).toMatch(/[\\/]\.cache[\\/]limber$/);
    expect(folderOn("darwin")).toMatch(/Library[\\/]Caches[\\/]limber$/);
    expect(folderOn("win32", { LOCALAPPDATA: join("C:", "Local") })).toBe(join("C:", "Local", "limber", "Cache"));
    expect(folderOn("linux", { XDG_CACHE_HOME: join("/", "x") })).toBe(join("/", "x", "limber"));
  });

  test("is of this package and this runtime", () => {
    const key = findMachineKey("cpu", 2);
    expect(key).toMatchObject({
      provider: "cpu",
      threads: 2,
      limber: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
    });
    expect(key.runtime).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe("measurements", () => {
  test("come back as they were stored, and add up", async () => {
    expect(await readMeasurements(join(folder, "new"), MACHINE)).toEqual(new Map());
    expect(await addMeasurements(join(folder, "new"), MACHINE, one)).toBe(true);
    expect(await addMeasurements(join(folder, "new"), MACHINE, other)).toBe(true);
    expect(await readMeasurements(join(folder, "new"), MACHINE)).toEqual(new Map([...one, ...other]));
  });

  test.each<keyof MachineKey>(["processor", "processors", "threads", "provider", "runtime", "limber"])(
    "of another %s are of no use",
    async (part) => {
      await addMeasurements(folder, MACHINE, one);
      const elsewhere = { ...MACHINE, [part]: typeof MACHINE[part] === "number" ? 7 : "other" };
      expect(await readMeasurements(folder, elsewhere)).toEqual(new Map());
    },
  );

  test("of another machine under this machine's name are ignored and replaced", async () => {
    await addMeasurements(folder, { ...MACHINE, threads: 9 }, other);
    const [foreign] = readdirSync(folder);
    writeFileSync(cacheFileOf(folder, MACHINE), readFileSync(join(folder, foreign!)));
    expect(await readMeasurements(folder, MACHINE)).toEqual(new Map());
    await addMeasurements(folder, MACHINE, one);
    expect(await readMeasurements(folder, MACHINE)).toEqual(one);
  });

  test("a broken file counts as none and is replaced", async () => {
    const whole = JSON.stringify({
      format: "limber formulations 1",
      machine: MACHINE,
      decisions: { a: { times: {} } },
    });
    const broken = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.nat(whole.length).map((length) => Buffer.from(whole.slice(0, length))),
    );
    await fc.assert(
      fc.asyncProperty(broken, async (bytes) => {
        writeFileSync(cacheFileOf(folder, MACHINE), bytes);
        expect(await readMeasurements(folder, MACHINE)).toEqual(new Map());
      }),
      { seed: 3, numRuns: 50 },
    );
    expect(await addMeasurements(folder, MACHINE, one)).toBe(true);
    expect(await readMeasurements(folder, MACHINE)).toEqual(one);
  });

  test("written by several at once all come to be in one file, and nothing is left beside it", async () => {
    const many = Array.from(
      { length: 8 },
      (_, i) => new Map([[`input ${i}`, { times: { flipped: i + 1 }, rounds: 5 }]]),
    );
    expect(await Promise.all(many.map((each) => addMeasurements(folder, MACHINE, each)))).not.toContain(false);
    expect((await readMeasurements(folder, MACHINE)).size).toBe(8);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test("are lost, not fatal, where the folder cannot be made", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(await addMeasurements(join(file, "inside"), MACHINE, one)).toBe(false);
    expect(existsSync(join(file, "inside"))).toBe(false);
  });
});
