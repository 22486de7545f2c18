import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CLASSES, squares, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { benchElastic, type ElasticBenchOptions, type ElasticReport } from "./elastic.js";
import type { ElasticRow } from "./rows.js";
import { type ElasticWorld, openDigitsWorld, shiftSource } from "./world.js";

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
  ...{ domains: 3, seeds: 1, sparsity: 0.5, images: 16, testImages: 16, batchSize: 16, steps: 2 },
  rates: [],
} satisfies ElasticBenchOptions;

const withoutTimes = (row: ElasticRow): unknown => ({
  ...row,
  ...{ adaptSeconds: 0, generationSeconds: 0, wallSeconds: 0 },
});

describe("benchElastic", () => {
  let report: ElasticReport;
  const told: ElasticRow[] = [];
  beforeAll(async () => {
    report = await benchElastic({ ...OPTIONS, onRow: (row) => told.push(row) });
  }, 120_000);
  const of = (contestant: string): ElasticRow[] => report.rows.filter((row) => row.contestant === contestant);

  test("takes everyone through the same stays, and says what came of it", () => {
    expect([report.complete, told]).toEqual([true, report.rows]);
    expect(Object.keys(report.headline)).toEqual([
      ...["gainPoints", "gainOverBestSameSizePoints", "timeRatioLarge", "timeToAccuracyRatio", "worstVsSourcePoints"],
      "seeds",
    ]);
    expect(report.headline).toMatchObject({ seeds: 1, timeRatioLarge: expect.any(Number) as number });
    expect(report.contestants.map(({ contestant, stays }) => [contestant, stays])).toEqual([
      ...["source", "elastic", "small, frozen", "small, tent", "large, tent", "small, bn", "large, bn"].map(
        (name) => [name, 3] as const,
      ),
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
    expect(large.sizeBytes).toBeGreaterThan(1.3 * ours.sizeBytes);
    expect(large.macs).toBeGreaterThan(1.3 * ours.macs);
  });

  test("chooses settings on shifts of the source, where there is something to choose", async () => {
    const { settings } = await benchElastic({ ...OPTIONS, methods: ["tent"], domains: 1, rates: [1e-3] });
    const chosen = { learningRate: 1e-3, continual: expect.any(Boolean) as boolean };
    expect(settings).toEqual({
      ...{ source: {}, elastic: { learningRate: 1e-3 }, "small, frozen": {}, "filters-source": settings.elastic },
      ...{ "small, tent": chosen, "large, tent": chosen },
    });
    expect(Object.values(report.settings).every((setting) => Object.keys(setting).length === 0)).toBe(true);
  });

  test("gives each contestant rows that do not depend on the others, from networks that it kept", async () => {
    const fewer = await benchElastic({ ...OPTIONS, methods: ["tent"], ablations: [] });
    const names = new Set(fewer.contestants.map(({ contestant }) => contestant));
    expect(fewer.rows.map(withoutTimes)).toEqual(
      report.rows.filter(({ contestant }) => names.has(contestant)).map(withoutTimes),
    );
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

describe("worlds", () => {
  test("the embedded world has drifts without the source, and handwriting of its own for each part", async () => {
    const { training, validation, drifts } = await openDigitsWorld(3, 2);
    expect([training.name, training.samples, validation.samples]).toEqual(["day", 3, 2]);
    expect([training.pathOf(0), validation.pathOf(0)]).toEqual(["world:day/train[0]", "world:day/validation[0]"]);
    const { domains } = drifts(7);
    expect(domains.length).toBeGreaterThan(10);
    expect(domains.map(({ name }) => name)).not.toContain("day");
    expect(domains[0]!.pathOf(0)).toMatch(/\/test\[0\]$/);
  });

  test("shifts of the source change its pictures, the same way each time, and keep labels", async () => {
    const { domains } = shiftSource(world);
    expect(domains.length).toBe(4);
    const plain = await world.validation.read(3);
    for (const domain of domains) {
      expect([domain.samples, domain.label(3)]).toEqual([32, world.validation.label(3)]);
      const shifted = await domain.read(3);
      expect(shifted).not.toEqual(plain);
      expect(await domain.read(3)).toEqual(shifted);
    }
  });
});
