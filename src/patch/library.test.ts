import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import { type LibraryEntry, PatchLibrary, poolStatistics, statisticsDistance, statisticsOf } from "./library.js";

const at = (mean: number, deviation = 1) => ({ mean: [mean, 0], deviation: [deviation, 1] });
const entry = (domain: string, mean: number, parent = "model"): LibraryEntry => ({
  ...{ parent, domain, statistics: at(mean) },
  patch: Uint8Array.of(1, 2, mean),
});
const libraryOf = (...entries: LibraryEntry[]): PatchLibrary => {
  const library = new PatchLibrary({ limit: 3 });
  for (const each of entries) library.add(each);
  return library;
};
const names = ({ entries }: PatchLibrary): string[] => entries.map(({ domain }) => domain);

describe("statistics of a domain", () => {
  test("are mean and deviation of each channel over images and places", () => {
    const data = Float32Array.of(1, 3, 10, 10, 5, 7, 20, 20);
    const { mean, deviation } = statisticsOf({ dtype: "float32", dims: [2, 2, 1, 2], data });
    expect(mean).toEqual([4, 15]);
    expect(deviation).toEqual([Math.sqrt(5), 5]);
  });

  test("of parts, pooled by their images, are those of the whole", () => {
    const random = new Random(2);
    const dims = (count: number) => [count, 2, 2, 2];
    const data = Float32Array.from({ length: 6 * 8 }, () => random.normal());
    const part = (from: number, to: number) => {
      const images = { dtype: "float32", dims: dims(to - from), data: data.subarray(from * 8, to * 8) } as const;
      return { statistics: statisticsOf(images), count: to - from };
    };
    const pooled = poolStatistics([part(0, 1), part(1, 6)]);
    expect(statisticsDistance(pooled, part(0, 6).statistics)).toBeLessThan(1e-12);
  });

  test("are as far apart as mean and deviation are; images of one domain are close", () => {
    expect(statisticsDistance(at(0), at(0))).toBe(0);
    expect(statisticsDistance(at(0, 1), at(3, 5))).toBeCloseTo(Math.sqrt((9 + 16) / 2), 12);
    expect(statisticsDistance(at(0), { mean: [0], deviation: [1] })).toBe(Infinity);
    const random = new Random(1);
    const draw = (mean: number) => {
      const data = Float32Array.from({ length: 8 * 3 * 64 }, () => random.normal(mean));
      return statisticsOf({ dtype: "float32", dims: [8, 3, 8, 8], data });
    };
    const [first, again, other] = [draw(0), draw(0), draw(1)];
    expect(statisticsDistance(first, again)).toBeLessThan(statisticsDistance(first, other) / 5);
  });
});

describe("PatchLibrary", () => {
  test("finds the patch of a model for the nearest domain", () => {
    const library = libraryOf(entry("fog", 1), entry("night", -1), entry("night of another", -1, "other"));
    const query = { parent: "model", statistics: at(0.8) };
    expect(library.findNearest(query)).toMatchObject({
      entry: { domain: "fog" },
      distance: expect.closeTo(Math.sqrt(0.02), 12) as number,
    });
    expect(library.findNearest(query, 0.1)).toBeUndefined();
    expect(library.findNearest({ ...query, parent: "unknown" })).toBeUndefined();
    expect(library.findNearest({ parent: "model", statistics: { mean: [1], deviation: [1] } })).toBeUndefined();
  });

  test("a patch takes the place of one for the same domain, of the same model only", () => {
    const library = libraryOf(entry("fog", 1), entry("fog", 1, "other"), entry("fog again", 1.01));
    expect(names(library)).toEqual(["fog", "fog again"]);
    expect(library.entries[0]!.parent).toBe("other");
  });

  test("forgets what was not asked for the longest", () => {
    const library = libraryOf(entry("a", 1), entry("b", 2), entry("c", 3));
    library.findNearest({ parent: "model", statistics: at(1) });
    library.add(entry("d", 4));
    expect(names(library)).toEqual(["c", "a", "d"]);
    library.remove(library.entries[1]!);
    expect(names(library)).toEqual(["c", "d"]);
  });

  test("survives being stored, bytes and files alike", () => {
    const file: LibraryEntry = { ...entry("b", 2), patch: { file: "patches/b.safetensors" }, score: 0.7 };
    const library = libraryOf(entry("a", 1), file);
    const read = PatchLibrary.fromJSON(JSON.parse(JSON.stringify(library)));
    expect(read.skipped).toBe(0);
    expect(read.library.entries).toEqual(library.entries);
  });

  test("leaves out what is broken and counts it", () => {
    const { entries } = libraryOf(entry("a", 1)).toJSON();
    const good = entries[0]!;
    const broken = [
      null,
      { ...good, parent: "" },
      { ...good, patch: { base64: "?" } },
      { ...good, patch: {} },
      { ...good, statistics: { mean: [1], deviation: [] } },
      { ...good, statistics: { mean: [null], deviation: [1] } },
    ];
    const { library, skipped } = PatchLibrary.fromJSON({ version: 1, entries: [...broken, good] });
    expect([names(library), skipped]).toEqual([["a"], 6]);
    for (const json of [null, [], { version: 2, entries: [] }])
      expect(() => PatchLibrary.fromJSON(json)).toThrow(expect.objectContaining({ code: "data.invalid" }));
  });
});
