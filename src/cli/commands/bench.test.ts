import { readFileSync, watch } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { EngineReport } from "../../bench/index.js";
import { fakePython } from "../../bench/fake-python.test-helper.js";
import { limber, temporaryFolder } from "../harness.test-helper.js";

const folder = temporaryFolder();
const ANSWERS = (parameters: number, step: string): string => `({ cmd, count }) =>
  cmd === "prepare" ? { parameters: ${parameters}, prepare_ms: 5, version: "PyTorch 0" } :
  cmd === "step" ? ${step} : { peak_rss_mb: 1000 }`;
const SECONDS = fakePython(ANSWERS(272_474, "{ ms: Array(count).fill(1000) }"));
const SMALL = [
  "bench",
  "engine",
  "--networks",
  "resnet20",
  "--modes",
  "inference-1",
  "--rounds",
  "5",
  "--threads",
  "1",
];
const beside = (python: string): string[] => [...SMALL, "--peers", "eager", "--python", python];

describe("limber bench engine", () => {
  test(
    "times our steps beside a peer, keeps the rows, and writes a table and a page",
    { timeout: 120_000 },
    async () => {
      const [rows, csv, chart] = [join(folder, "rows.jsonl"), join(folder, "rows.csv"), join(folder, "page.html")];
      const first = await limber([...beside(SECONDS), "--rows", rows, "--csv", csv, "--chart", chart, "--json"]);
      expect(first.code).toBe(0);
      const report = first.json() as Readonly<Record<string, unknown>> & EngineReport;
      expect(Object.keys(report.headline)).toEqual([
        ...["geomeanFull", "geomeanSelective", "geomeanInference", "worst", "roofShare", "memoryRatio"],
      ]);
      expect(report).toMatchObject({ complete: true, versions: { eager: "PyTorch 0" } });
      const [row, ...others] = report.rows;
      expect(others).toEqual([]);
      expect(row!.limber.rounds).toBe(5);
      expect(row!.gmacs).toBeCloseTo(0.0408, 4);
      expect(row!.roofShare).toBeGreaterThan(0);
      expect(row!.ratio).toBe(row!.peers.eager!.ratio);
      expect(row!.ratio! * row!.limber.stepMs!).toBeCloseTo(1000, 3);
      expect(row!.memoryRatio).toBe(row!.limber.peakMb! / 1000);
      expect(JSON.parse(readFileSync(rows, "utf8"))).toEqual(row);
      expect(readFileSync(csv, "utf8").split("\n")[1]).toMatch(/^resnet20,inference-1,1,32,1,off,272474,/);
      expect(readFileSync(chart, "utf8")).toContain("Inference, one image");

      const again = await limber([...beside("/nowhere/python"), "--rows", rows]);
      expect(again.stdout).toContain(row!.ratio!.toFixed(2));
      expect(again.stdout).not.toContain("ENOENT");
    },
  );

  test("refuses a peer that has another network", { timeout: 120_000 }, async () => {
    const { code, stderr } = await limber(beside(fakePython(ANSWERS(7, "{ ms: [1] }"))));
    expect(code).toBe(1);
    expect(stderr).toContain("272474 parameters, got 7 of eager");
  });

  test("stopped in a step, ends at once and prints what is finished", { timeout: 120_000 }, async () => {
    const controller = new AbortController();
    const mark = `(require("node:fs").writeFileSync(${JSON.stringify(join(folder, "stepping"))}, ""), null)`;
    const hangs = fakePython(
      ANSWERS(272_474, `${mark} ?? Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)`),
    );
    const watcher = watch(folder, (_, name) => name === "stepping" && controller.abort());
    const { code, json } = await limber([...beside(hangs), "--json"], { signal: controller.signal });
    watcher.close();
    expect(code).toBe(130);
    expect(json()).toMatchObject({ complete: false, rows: [] });
  });

  test("is done at once when it is stopped before it starts", async () => {
    const { code, stdout } = await limber(SMALL, { signal: AbortSignal.abort() });
    expect(code).toBe(130);
    expect(stdout).toContain("stopped before the end");
  });

  test.each([
    [["bench", "drift"], "one of engine"],
    [
      [...SMALL, "--modes", "half"],
      'modes: of full, filters, last-third, last-third-cached, inference, inference-1, got "half"',
    ],
    [[...SMALL, "--networks", "resnet9000"], 'got "resnet9000"'],
    [[...SMALL, "--peers", "limber"], 'got "limber"'],
    [[...SMALL, "--rounds", "4"], "5"],
  ])("refuses %j", async (argv, reason) => {
    const { code, stderr } = await limber(argv);
    expect(code).toBe(2);
    expect(stderr).toContain(reason);
  });
});
