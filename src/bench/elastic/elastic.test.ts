import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLASSES, squares, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { benchElastic, type ElasticBenchOptions, type ElasticReport } from "./elastic.js";
import type { ElasticRow } from "./rows.js";
import type { ElasticWorld } from "./world.js";

const cacheFolder = mkdtempSync(join(tmpdir(), "limber-bench-"));
afterAll(() => rmSync(cacheFolder, { recursive: true, force: true }));

const bright = squares("bright", 64, { level: (x) => 255 - x });
const dark = squares("dark", 64, { level: (x) => x / 3 });
const world: ElasticWorld = {
  ...{ name: "squares", model: tinyNetwork(), preprocessing: TINY_PREPROCESSING },
  ...{ training: squares("clear", 64, { seed: 4 }), validation: squares("held", 32, { seed: 5 }) },
  drifts: () => ({
    name: "drifts",
    classes: Array.from({ length: CLASSES }, (_, i) => String(i)),
    domains: [bright, dark],
  }),
};
const OPTIONS = {
  ...{ world, methods: ["tent", "bn"], ablations: ["filters-source"], cacheFolder, threads: 1 },
  ...{ domains: 3, seeds: 1, sparsity: 0.5, images: 16, testImages: 16, batchSize: 8, steps: 2 },
  ...{ rates: [], curve: 1 },
} satisfies ElasticBenchOptions;

const withoutTimes = (row: ElasticRow): unknown => ({
  ...row,
  ...{ adaptSeconds: 0, generationSeconds: 0, wallSeconds: 0 },
  curve: row.curve.map(({ step, accuracy }) => [step, accuracy]),
});

describe("benchElastic", () => {
  let report: ElasticReport;
  const told: ElasticRow[] = [];
  beforeAll(async () => {
    report = await benchElastic({ ...OPTIONS, onRow: (row) => told.push(row) });
  });
  const of = (contestant: string): ElasticRow[] => report.rows.filter((row) => row.contestant === contestant);

  test("takes everyone through the same stays, and says what came of it", () => {
    expect([report.complete, told]).toEqual([true, report.rows]);
    expect(Object.keys(report.headline)).toEqual([
      ...["gainPoints", "gainOverBestSameSizePoints", "timeRatioLarge", "timeToAccuracyRatio", "worstVsSourcePoints"],
      "seeds",
    ]);
    expect(report.headline).toMatchObject({ seeds: 1, timeRatioLarge: expect.any(Number) as number });
    expect(report.contestants.map(({ contestant, stays }) => [contestant, stays])).toEqual([
      ...[
        "source",
        "elastic",
        "elastic, guarded",
        "small, frozen",
        "small, tent",
        "large, tent",
        "small, bn",
        "large, bn",
      ].map((name) => [name, 3] as const),
      ["large, tent, cut", 3],
      ["filters-source", 1],
    ]);
    const staysOf = (contestant: string) => of(contestant).map(({ domain, round }) => `${domain} ${round}`);
    expect(staysOf("elastic").map((stay) => stay.slice(-1))).toEqual(["0", "1", "2"]);
    for (const { contestant, stays } of report.contestants)
      expect(staysOf(contestant)).toEqual(staysOf("elastic").slice(0, stays));
    for (const row of report.rows) expect([row.images, row.testImages, row.refused]).toEqual([16, 16, 0]);
  });

  test("gives the small network the bytes and multiply-accumulates of a surrogate", () => {
    const [ours, theirs, large] = [of("elastic")[0]!, of("small, tent")[0]!, of("large, tent")[0]!];
    expect([theirs.sizeBytes, theirs.macs]).toEqual([ours.sizeBytes, ours.macs]);
    const [cut] = of("large, tent, cut");
    expect([cut!.sizeBytes, cut!.macs]).toEqual([ours.sizeBytes, ours.macs]);
    expect(large.sizeBytes).toBeGreaterThan(1.3 * ours.sizeBytes);
    expect(large.macs).toBeGreaterThan(1.3 * ours.macs);
  });

  test("lets the source model serve where the surrogate seems no better, and keeps it in memory for that", () => {
    const [guarded, source, plain] = [of("elastic, guarded"), of("source"), of("elastic")];
    guarded.forEach((row, stay) => {
      const served = row.sizeBytes === plain[stay]!.sizeBytes ? plain[stay]! : source[stay]!;
      expect([row.afterAccuracy, row.macs]).toEqual([served.afterAccuracy, served.macs]);
      expect(row.generationSeconds).toBeGreaterThan(0);
    });
    expect(guarded[0]!.peakBytes).toBeGreaterThan(plain[0]!.peakBytes);
    const ours = report.contestants.find(({ contestant }) => contestant === "elastic")!;
    expect(ours.worstVsSourcePoints).toBe(report.headline.worstVsSourcePoints);
    expect(report.contestants.find(({ kind }) => kind === "source")!.worstVsSourcePoints).toBeNull();
  });

  test("compresses what the large network has become, and counts the time of both", () => {
    const [cut, large] = [of("large, tent, cut")[0]!, of("large, tent")[0]!];
    expect(cut.onlineAccuracy).toBe(large.onlineAccuracy);
    expect(cut.steps).toBe(large.steps + 4 * 2);
    expect(cut.adaptSeconds).toBeGreaterThan(cut.curve[0]!.adaptSeconds);
    expect(cut.peakBytes).toBeGreaterThanOrEqual(large.peakBytes);
  });

  test("measures accuracy on the way where asked, up to what is left in the end", () => {
    for (const contestant of ["elastic", "small, tent", "large, tent"])
      for (const { curve, steps, adaptSeconds, afterAccuracy } of of(contestant)) {
        expect(curve.map(({ step }) => step)).toEqual([1, 2]);
        expect(curve.at(-1)).toEqual({ step: steps, adaptSeconds, accuracy: afterAccuracy });
        expect(curve[0]!.adaptSeconds).toBeLessThan(adaptSeconds);
      }
    expect(of("large, tent, cut")[0]!.curve.map(({ step }) => step)).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);
    expect(of("source").every(({ curve }) => curve.length === 0)).toBe(true);
  });

  test("plans more memory for the large network, and for training than for predicting", () => {
    const bytes = (contestant: string): number => of(contestant)[0]!.peakBytes;
    expect(bytes("large, tent")).toBeGreaterThan(bytes("small, tent"));
    expect(bytes("large, tent")).toBeGreaterThan(bytes("source"));
    expect(bytes("small, frozen")).toBeGreaterThan(of("small, frozen")[0]!.sizeBytes);
  });

  test("chooses settings on shifts of the source, where there is something to choose", async () => {
    const { settings } = await benchElastic({ ...OPTIONS, methods: ["tent"], domains: 1, rates: [1e-3] });
    const chosen = { learningRate: 1e-3, continual: expect.any(Boolean) as boolean };
    expect(settings).toEqual({
      ...{
        source: {},
        elastic: { learningRate: 1e-3, trains: settings.elastic!.trains },
        "small, frozen": {},
        "elastic, guarded": settings.elastic,
        "filters-source": settings.elastic,
      },
      ...{ "small, tent": chosen, "large, tent": chosen, "large, tent, cut": chosen },
    });
    expect(["norm", "features"]).toContain(settings.elastic!.trains);
    expect(Object.values(report.settings).every((setting) => Object.keys(setting).length === 0)).toBe(true);
  });

  test("gives each contestant rows that do not depend on the others, from networks that it kept", async () => {
    const fewer = await benchElastic({ ...OPTIONS, methods: ["tent"], ablations: [] });
    const names = new Set(fewer.contestants.map(({ contestant }) => contestant));
    expect(fewer.rows.map(withoutTimes)).toEqual(
      report.rows.filter(({ contestant }) => names.has(contestant)).map(withoutTimes),
    );
  });

  test("goes on after the rows that it is given, and takes a sequence again that they have in part", async () => {
    const again: ElasticRow[] = [];
    const elastic = of("elastic");
    const known = report.rows.filter((row) => row !== elastic[1]);
    const resumed = await benchElastic({ ...OPTIONS, known, onRow: (row) => again.push(row) });
    expect(again.map(withoutTimes)).toEqual(elastic.map(withoutTimes));
    const others = resumed.rows.filter(({ contestant }) => contestant !== "elastic");
    expect(others).toEqual(report.rows.filter(({ contestant }) => contestant !== "elastic"));
    expect(resumed.settings).toEqual(report.settings);
  });

  test("takes nothing from rows of another run", async () => {
    const again: ElasticRow[] = [];
    const options = { ...OPTIONS, methods: ["bn"], ablations: [], images: 8, domains: 1 };
    const { rows } = await benchElastic({ ...options, known: report.rows, onRow: (row) => again.push(row) });
    expect(again).toEqual(rows);
    expect(new Set(again.map(({ run }) => run)).has(report.rows[0]!.run)).toBe(false);
  });

  test("has the rows that are finished when it is stopped", async () => {
    const stop = new AbortController();
    const rows: ElasticRow[] = [];
    const stopped = await benchElastic({
      ...{ ...OPTIONS, methods: ["bn"], signal: stop.signal },
      onRow: (row) => rows.push(row) === 2 && stop.abort(),
    });
    expect(stopped.complete).toBe(false);
    expect(stopped.rows.length).toBeGreaterThanOrEqual(2);
    expect(stopped.rows).toEqual(rows);
    expect(stopped.headline.gainPoints).toBeNull();
  });

  test("refuses methods that need labels, and none", async () => {
    await expect(benchElastic({ ...OPTIONS, methods: ["finetune"] })).rejects.toThrow('got "finetune"');
    await expect(benchElastic({ ...OPTIONS, methods: [] })).rejects.toThrow(
      "one or more that need no labels, got none",
    );
  });
});
