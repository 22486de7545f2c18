import { chromium } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { squares, TINY_PREPROCESSING, tinyNetwork } from "../../../test/helpers/tiny.js";
import { findChromium } from "../../run/node.js";
import type { Dataset } from "../../vision/index.js";
import { PATCH_CONTESTANT_NAMES, PATCH_CONTESTANTS } from "./contestants.js";
import { headlineOf } from "./headline.js";
import { drawPatchReport } from "./page.js";
import { benchPatch, type PatchBenchOptions, type PatchReport } from "./patch.js";
import { macsOf, type PatchRow } from "./rows.js";
import { openDataScene } from "./scene.js";

const dataset: Dataset = {
  name: "squares",
  classes: ["0", "1", "2", "3"],
  domains: [
    squares("clear", 48, { seed: 4 }),
    squares("dark", 64, { level: (x) => x / 3 }),
    squares("bright", 64, { level: (x) => 255 - x }),
  ],
};
const scene = openDataScene(dataset, {
  ...{ name: "squares", models: [{ model: tinyNetwork(), preprocessing: TINY_PREPROCESSING }], testImages: 24 },
});
const OPTIONS = {
  ...{ scenes: [scene], contestants: PATCH_CONTESTANTS, seeds: 1, threads: 1 },
  ...{ pool: 16, held: 8, testImages: 24, epochs: 1, batchSize: 8, patches: 1 },
} satisfies PatchBenchOptions;

describe("benchPatch", () => {
  let report: PatchReport;
  const told: PatchRow[] = [];
  beforeAll(async () => {
    report = await benchPatch({ ...OPTIONS, onRow: (row) => told.push(row) });
  }, 300_000);
  const of = (name: string): PatchRow[] => report.rows.filter(({ contestant }) => contestant === name);

  test("takes everyone through the same drifts, and books what they did", () => {
    expect([report.complete, told]).toEqual([true, report.rows]);
    for (const name of PATCH_CONTESTANT_NAMES) {
      expect(of(name).map(({ drift, testImages }) => [drift, testImages])).toEqual([
        ["dark", 24],
        ["bright", 24],
      ]);
      for (const row of of(name)) expect(macsOf(row) > 0).toBe(name !== "frozen");
    }
    for (const row of of("frozen")) expect(row.score).toBe(row.sourceScore);
  });

  test("sees that fewer patches, fewer samples and a smaller part of the model are less work", () => {
    const workOf = (name: string): number => of(name).reduce((sum, row) => sum + macsOf(row), 0);
    expect(workOf("only-patches")).toBeLessThan(workOf("patches-cold"));
    expect(workOf("only-selection")).toBeLessThanOrEqual(workOf("patches-cold")); // two batches are the least
    expect(workOf("head")).toBeLessThan(workOf("biases"));
    expect(workOf("statistics")).toBeLessThan(workOf("head"));
    const [full, cold] = ["full", "patches-cold"].map((name) => of(name)[0]!.macs.weightGradient);
    expect(cold).toBeLessThan(full!); // of layers as narrow as these a rank of four is half
  });

  test("goes on from the rows of an earlier run, and from none of another", async () => {
    const fresh: PatchRow[] = [];
    const known = report.rows.filter(({ contestant }) => contestant !== "head");
    const again = await benchPatch({ ...OPTIONS, known, onRow: (row) => fresh.push(row) });
    expect(fresh.map(({ contestant }) => contestant)).toEqual(["head", "head"]);
    const withoutTime = (rows: readonly PatchRow[]) => rows.map((row) => ({ ...row, seconds: 0 }));
    expect(withoutTime(again.rows)).toEqual(withoutTime(report.rows));
    const contestants = PATCH_CONTESTANTS.filter(({ name }) => name === "frozen");
    const other = await benchPatch({ ...OPTIONS, contestants, pool: 24, known, onRow: (row) => fresh.push(row) });
    expect([other.rows.length, fresh.length]).toEqual([2, 4]);
  });

  test("tells what is done when it is stopped", async () => {
    const controller = new AbortController();
    const onRow = ({ contestant }: PatchRow): void => {
      if (contestant === "patchline") controller.abort();
    };
    const stopped = await benchPatch({ ...OPTIONS, signal: controller.signal, onRow });
    expect(stopped.complete).toBe(false);
    expect(new Set(stopped.rows.map(({ contestant }) => contestant))).toEqual(new Set(["frozen", "patchline"]));
  });

  const chromiumPath = findChromium();
  const found = chromiumPath ?? "none found: not tested; install Debian's chromium";
  test.runIf(chromiumPath)(`comes to the same in a browser (Chromium: ${found})`, async () => {
    const contestants = PATCH_CONTESTANTS.filter(({ name }) => name === "patchline");
    const [drift] = scene.drifts;
    const again = await benchPatch({
      ...OPTIONS,
      ...{ platform: "wasm", contestants, scenes: [{ ...scene, drifts: [drift!] }] },
    });
    const [there, here] = [again.rows[0]!, of("patchline")[0]!];
    expect([there.platform, there.macs, there.steps]).toEqual(["wasm", here.macs, here.steps]);
    expect(Math.abs(there.score - here.score)).toBeLessThanOrEqual(2 / 24); // two pictures, since sums are in another order
  });

  test("draws a page with everyone on it, without an error in a browser", async ({ skip }) => {
    if (chromiumPath === undefined) return skip("no Chromium found; install Debian's chromium");
    const browser = await chromium.launch({ executablePath: chromiumPath });
    const page = await browser.newPage();
    const problems: string[] = [];
    page.on("pageerror", ({ message }) => problems.push(message));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await page.setContent(drawPatchReport(report, "limber bench patch"));
    const names = await page.locator("svg .contestant").allTextContents();
    await browser.close();
    expect([problems, names.toSorted()]).toEqual([[], PATCH_CONTESTANT_NAMES.toSorted()]);
  });
});

describe("the headline", () => {
  const row = (contestant: string, kind: PatchRow["kind"], score: number, forward: number): PatchRow => ({
    ...{
      run: "r",
      dataset: "d",
      backbone: "b",
      platform: "node",
      task: "classification",
      metric: "accuracy",
      contestant,
      kind,
    },
    ...{ seed: 0, position: 0, drift: "fog", testImages: 10, sourceScore: 0.5, score, seconds: 1 },
    ...{ epochs: 1, steps: 1, samples: 1, patches: null, start: null, accepted: true },
    macs: {
      ...{ forward, activationGradient: 0, weightGradient: 0, statistics: 0, labels: 0, selection: 0 },
      ...{ predictor: 0, correlation: 0, evaluation: 0 },
    },
  });
  const rows = [
    row("patchline", "ours", 0.8, 20),
    row("full", "baseline", 0.81, 100),
    row("biases", "baseline", 0.797, 60),
    row("head", "baseline", 0.7, 30),
    row("patches-cold", "baseline", 0.8, 80),
    row("only-warm", "ablation", 0.8, 40),
  ];

  test("compares with the cheapest baseline that is as good, but for half a point", () => {
    const { cells, ...headline } = headlineOf(rows);
    expect(cells[0]).toMatchObject({ bestBaseline: "biases", costReduction: 1 - 20 / 60 });
    expect(headline.accuracyVsFullPoints).toBeCloseTo(-1, 9);
    expect(headline.byTechnique).toEqual({ patches: null, warm: 0.5, selection: null });
  });

  test("compares with the best baseline where none is as good", () => {
    const weak = rows.filter(({ contestant }) => ["patchline", "head"].includes(contestant));
    expect(headlineOf(weak)).toMatchObject({ bestBaseline: "head", accuracyVsFullPoints: null });
  });
});
