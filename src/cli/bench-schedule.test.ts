import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EXIT } from "./command.js";
import { limber, temporaryFolder } from "./harness.test-helper.js";

const folder = temporaryFolder();
const small = ["bench", "schedule", "--parts", "simulated", "--scenarios", "steady", "--apps", "2", "--seeds", "1"];

describe("limber bench schedule", () => {
  it("prints its headline with --json, draws its page, and does not simulate again what is in its rows", async () => {
    const [rows, chart] = [join(folder, "rows.jsonl"), join(folder, "page.html")];
    const flags = ["--planners", "filterGrained,uniform", "--rows", rows, "--chart", chart, "--quiet", "--json"];
    const { code, json, stderr } = await limber([...small, ...flags]);
    expect(code, stderr).toBe(EXIT.ok);
    const first = json() as { headline: Record<string, unknown>; rows: readonly { planner: string }[] };
    const keys = [
      "gainPoints",
      "estimator",
      "bruteForceShare",
      "decisionMs16",
      "decisionMs10000",
      "overBudget",
      "p99Ratio",
    ];
    for (const key of keys) expect(first.headline).toHaveProperty(key);
    expect(first.headline.overBudget).toBe(0);
    expect(first.rows.map(({ planner }) => planner)).toEqual(["filterGrained", "uniform"]);
    expect(existsSync(chart)).toBe(true);
    const again = await limber([...small, ...flags]);
    expect((again.json() as typeof first).rows).toEqual(first.rows);
  });

  it("names what it does not know", async () => {
    const { code, stderr } = await limber([...small, "--planners", "magic"]);
    expect(code).not.toBe(EXIT.ok);
    expect(stderr).toMatch(/planners: of filterGrained, .*got "magic"/);
  });
});
