import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { smallNetwork } from "../../test/helpers/tiny.js";
import { addGates } from "../graph/index.js";
import { EXIT } from "./command.js";
import { limber, SIDE, temporaryFolder, writeTinyArrays, writeTinyModel } from "./harness.test-helper.js";

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

  it("records kinds of apps that a file describes, and runs them under their own name", async () => {
    const [apps, traces] = [join(folder, "apps.json"), join(folder, "traces")];
    const master = addGates(smallNetwork(), { initial: "he", seed: 3 });
    const kind = {
      ...{ name: "colours", model: writeTinyModel(folder, master), sparsities: [0] },
      ...{ preprocessing: { width: SIDE, height: SIDE }, data: writeTinyArrays(folder, 24), source: "clean" },
      ...{ drifts: ["noisy"], validation: ["fog 3"], batchSize: 2, recording: { steps: [0, 1], pool: 4, held: 4 } },
      camera: { fps: 4, pictures: 2, images: 8 },
    };
    writeFileSync(apps, JSON.stringify({ world: "colours", kinds: [kind] }));
    const given = ["bench", "schedule", "--apps-from", apps, "--quiet", "--json", "--threads", "1"];
    const recorded = await limber([...given, "--record-to", traces]);
    expect(recorded.json(), recorded.stderr).toEqual({ recorded: [{ kind: "colours", drifts: 2 }] });
    expect(JSON.parse(readFileSync(join(traces, "colours.json"), "utf8"))).toMatchObject({ task: "classification" });
    const flags = ["--parts", "real", "--planners", "uniform", "--apps", "1", "--seeds", "1", "--windows", "1"];
    const env = { XDG_CACHE_HOME: folder };
    const ran = await limber([...given, "--traces", traces, ...flags, "--window-seconds", "1"], { env });
    expect(ran.code, ran.stderr).toBe(EXIT.ok);
    const { rows } = ran.json() as { rows: readonly Record<string, unknown>[] };
    expect(rows).toMatchObject([{ mode: "real", scenario: "colours", apps: 1, planner: "uniform" }]);
    expect(rows[0]!.framesServed).toBeGreaterThan(0);
    const without = await limber([...given, ...flags]);
    expect(without.stderr).toMatch(/a trace of kind "colours", got none/u);
  });
});
