import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readModelFile } from "../../run/node.js";
import { EXIT } from "../command.js";
import { limber, temporaryFolder } from "../harness.test-helper.js";

const runs = temporaryFolder();
const small = ["demo", "--visits", "day,fog", "--images", "16", "--labelled", "8", "--runs", runs, "--threads", "1"];
const tiny = (...flags: string[]): string[] => [...small, "--drifts", "none", "--windows", "0", ...flags];

describe("limber demo", () => {
  it("prints one object with --json, and tells where the files are", async () => {
    const { code, json, stderr } = await limber(tiny("--json", "--seed", "3"));
    expect(code, stderr).toBe(EXIT.ok);
    const { headline, domains, folder, ...rest } = json();
    const keys = ["source", "bn", "tentOnline", "tentAfter", "patched", "tentSeconds", "patchSeconds"];
    for (const key of [...keys, "elastic", "elasticMacs", "sourceMacs"]) expect(headline, key).toHaveProperty(key);
    expect((domains as { name: string }[]).map(({ name }) => name)).toEqual(["day", "fog"]);
    expect(rest).toMatchObject({
      seed: 3,
      command: "limber demo --visits day,fog --drifts none --images 16 --labelled 8 --windows 0 --seed 3 --threads 1",
    });
    expect(stderr).toMatch(/2\/2 fog: source [\d.]+ %, Tent [\d.]+ %, patched [\d.]+ %, small [\d.]+ %/);
    const { metadata } = await readModelFile(join(folder as string, "weights", "patched.onnx"));
    expect(metadata.get("limber.method")).toBe("finetune");
    expect(metadata.get("limber.parent")).toMatch(/^[0-9a-f]{64}$/);
    expect(metadata.has("limber.preprocessing")).toBe(true);
  });

  it("prints a table and the path of the report, and nothing else with --quiet", async () => {
    const { code, stdout, stderr } = await limber(tiny("--quiet"));
    expect(code).toBe(EXIT.ok);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/domain +source +batch stats +Tent online/);
    expect(stdout).toMatch(/domain +small before +after +MACs +bytes +made in +adapted in +full before/);
    expect(existsSync(/report: (.*results\.html)/.exec(stdout)![1]!)).toBe(true);
  });

  it("patches three models in line, with their pictures before and after in the report", async () => {
    const { code, json } = await limber([...small, "--drifts", "fog", "--windows", "0", "--quiet", "--json"]);
    expect(code).toBe(EXIT.ok);
    const { line, folder } = json() as { line: Record<string, number | string>[]; folder: string };
    expect(line.map(({ drift, task }) => `${drift} ${task}`).sort()).toEqual(
      ["classification", "detection", "segmentation"].map((task) => `fog ${task}`),
    );
    for (const { source, patched, patches, samples } of line) {
      expect(patched).toBeGreaterThan(Number(source) + 0.1);
      expect([patches, samples]).toEqual([3, 128]);
    }
    const page = readFileSync(join(folder, "results.html"), "utf8");
    expect(page.match(/<svg class="overlay"/g)).toHaveLength(3 * 5); // what is there, and two tasks before and after
    const events = readFileSync(join(folder, "events.jsonl"), "utf8");
    expect(events.match(/"line-patched"/g)).toHaveLength(3);
  });

  it("stops with 130 and keeps the visits that are done", async () => {
    const controller = new AbortController();
    const onStderr = (text: string): void => {
      if (text.startsWith("1/2")) controller.abort();
    };
    const { code } = await limber(tiny(), { signal: controller.signal, onStderr });
    expect(code).toBe(EXIT.interrupted);
    expect(readdirSync(join(runs, readdirSync(runs).sort().at(-1)!))).toContain("results.html");
  });

  it("refuses a domain that the world does not have", async () => {
    const { code, json } = await limber(["demo", "--visits", "noon", "--runs", runs, "--json"]);
    expect(code).toBe(EXIT.usage);
    expect(json()).toMatchObject({ error: { code: "config.invalid" } });
  });
});
