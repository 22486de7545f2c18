import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type PruneRecord, readModel, replayPruning, writeModel } from "../../graph/index.js";
import { EXIT } from "../command.js";
import { limber, temporaryFolder, tinyModel, writeTinyModel } from "../harness.test-helper.js";
import { writeFileSync } from "node:fs";
import { hashFile } from "../model.js";

const folder = temporaryFolder();
const model = writeTinyModel(folder);

describe("limber prune", () => {
  const output = join(folder, "small.onnx");

  it("writes a model of half the channels that runs as the original does without them", async () => {
    const { code, json } = await limber(["prune", model, "--keep", "0.5", "--output", output, "--json"]);
    expect(code).toBe(EXIT.ok);
    const found = json() as Record<"before" | "after", Record<string, number>> & { difference: number; cut: object[] };
    expect(found.after.macs! / found.before.macs!).toBeLessThan(0.35);
    expect(found.after.parameters! / found.before.parameters!).toBeLessThan(0.35);
    expect(found.difference).toBeLessThan(1e-5);
    expect(found).toMatchObject({ skipped: [], output });
    expect(found.cut).toContainEqual({ id: "stem.0.weight:0", units: 8, kept: 4 });
    const { graph, metadata } = readModel(readFileSync(output));
    expect(graph.initializers.get("stem.0.weight")!.dims).toEqual([4, 3, 3, 3]);
    expect(graph.inputs).toEqual(tinyModel().graph.inputs);
    expect(metadata.get("limber.command")).toBe("prune");
    expect(metadata.get("limber.parent")).toBe(await hashFile(model));
    const record = JSON.parse(metadata.get("limber.pruning")!) as PruneRecord;
    const again = replayPruning(record, tinyModel()).model.graph.initializers;
    expect(again.get("classifier.weight")).toEqual(graph.initializers.get("classifier.weight"));
  });

  it("keeps what the model said about its pictures", async () => {
    const said = join(folder, "said.onnx");
    const metadata = new Map([
      ["author", "me"],
      ["limber.preprocessing", "{}"],
      ["limber.method", "tent"],
    ]);
    writeFileSync(said, writeModel({ ...tinyModel(), metadata }));
    await limber(["prune", said, "--keep", "0.5", "--output", output]);
    const written = readModel(readFileSync(output)).metadata;
    expect([written.get("author"), written.get("limber.preprocessing")]).toEqual(["me", "{}"]);
    expect(written.get("limber.method")).toBe("l1");
  });

  it("only says what it would cut, when no output is named", async () => {
    const before = readdirSync(folder);
    const { stdout } = await limber(["prune", model, "--keep", "0.5", "--by", "bn"]);
    expect(stdout).toMatch(/stem\.0\.weight:0\s+8\s+4/);
    expect(stdout).toContain('classifier.weight:0: kept whole: graph output "logits"');
    expect(stdout).toMatch(/MACs.*\d\d\.\d\d %/);
    expect(stdout).toContain("nothing written: give --output");
    expect(readdirSync(folder)).toEqual(before);
  });

  it("cuts only the groups that it is told, in blocks", async () => {
    const only = ["--only", "stem.0.weight:0", "--round-to", "3"];
    const { json } = await limber(["prune", model, "--keep", "0.5", ...only, "--json"]);
    expect(json().cut).toEqual([{ id: "stem.0.weight:0", units: 8, kept: 6 }]);
  });

  it.each([
    [["--keep", "0"], EXIT.usage, "a share in (0, 1]"],
    [["--keep", "0.5", "--only", "classifier.weight:0"], EXIT.usage, "kept whole: graph output"],
    [["--keep", "0.5", "--only", "nothing"], EXIT.usage, "no such group"],
    [[], EXIT.usage, "--keep"],
  ])("refuses %o", async (flags, code, message) => {
    const refused = await limber(["prune", model, ...flags, "--json"]);
    expect(refused.code).toBe(code);
    expect(refused.json()).toMatchObject({ error: { message: expect.stringContaining(message) as string } });
  });

  it("leaves no file where nothing could be written", async () => {
    const path = join(folder, "missing", "small.onnx");
    const { code } = await limber(["prune", model, "--keep", "0.5", "--output", path, "--json"]);
    expect(code).toBe(EXIT.failure);
    expect(existsSync(path)).toBe(false);
  });
});

describe("limber inspect --groups", () => {
  it("lists what can be cut together, and what keeps the rest whole", async () => {
    const { stdout } = await limber(["inspect", model, "--groups"]);
    expect(stdout).toMatch(/channel group\s+units\s+channels each\s+weights/);
    expect(stdout).toMatch(/stem\.0\.weight:0\s+8\s+1\s+\d+/);
    expect(stdout).toContain('stem.0.weight:1: kept whole: graph input "input"');
    const { groups } = (await limber(["inspect", model, "--groups", "--json"])).json() as { groups: object[] };
    expect(groups).toContainEqual(
      expect.objectContaining({ id: "stem.0.weight:0", size: 8, granularity: 1, prunable: true, reason: null }),
    );
  });
});
