import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { limber, temporaryFolder, writeTinyArrays, writeTinyModel } from "./harness.test-helper.js";

const folder = temporaryFolder();

describe("limber bench elastic", () => {
  test("takes everyone through a folder of domains, writes the rows, and keeps the networks", async () => {
    const files = ["rows.jsonl", "rows.csv", "page.html", "cache"];
    const [rows, csv, chart, cache] = files.map((name) => join(folder, name)) as [string, string, string, string];
    const run = [
      ...["bench", "elastic", "--world", writeTinyArrays(folder, 160), "--model", writeTinyModel(folder)],
      ...["--source", "clean", "--domains", "1", "--seeds", "1", "--images", "16", "--steps", "1", "--threads", "1"],
      ...["--methods", "bn", "--ablations", "none", "--rows", rows, "--csv", csv, "--chart", chart],
    ];
    const first = await limber([...run, "--json"], { env: { XDG_CACHE_HOME: cache } });
    expect(first.stderr).not.toContain("error");
    expect(first.code).toBe(0);
    const report = first.json() as { rows: unknown[]; headline: object; command: string };
    expect(report).toMatchObject({ complete: true, settings: { elastic: {} }, headline: { seeds: 1 } });
    expect(report.command).toContain("--methods bn --sparsity 0.8 --ablations none --images 16 --steps 1");
    expect(report.command).not.toContain("--severity");
    expect(report.rows.length).toBe(7);
    expect(report.rows).toEqual(
      readFileSync(rows, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    );
    expect(readFileSync(csv, "utf8").split("\n")[1]).toMatch(/^[0-9a-f]{12},source,source,source,0,0,noisy,0,16,16,,/);
    expect(readFileSync(chart, "utf8")).toContain("repeat it");
    expect(
      readdirSync(join(cache, "limber"))
        .map((name) => name.replace(/-[0-9a-f]{16}/, ""))
        .sort(),
    ).toEqual(["bench-master.onnx", "bench-small.onnx"]);
    const kept = readFileSync(rows, "utf8");
    appendFileSync(rows, '{"run":"cut off');
    const { stdout } = await limber(run, { env: { XDG_CACHE_HOME: cache } });
    expect(readFileSync(rows, "utf8")).toBe(kept);
    expect(stdout).toMatch(/^small, bn +1 /m);
    expect(stdout).toMatch(/gain over same-size adaptation: [+-]\d+\.\d\d points; over the best, small, bn: /);
    expect(stdout).toMatch(/reached in [01] of 1 stays/);
  });

  test.each([
    [["--ablations", "filters-best"], "of filters-random, filters-inverse, filters-source, train-random"],
    [["--methods", "tenth"], 'got "tenth"'],
    [["--world", folder], "give --model"],
    [["--world", folder, "--model", writeTinyModel(folder), "--corrupt", "rust"], 'got "rust"'],
    [["--severity", "6"], "1, 2, 3, 4, 5"],
    [["--sparsity", "1"], "0.99"],
  ])("refuses %j", async (argv, reason) => {
    const { code, stderr } = await limber(["bench", "elastic", ...argv]);
    expect(code).toBe(2);
    expect(stderr).toContain(reason);
  });
});
