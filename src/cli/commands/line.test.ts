import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findPatches, writeModel } from "../../graph/index.js";
import { applyPatch, loadPatch } from "../../patch/index.js";
import { readModelFile } from "../../run/node.js";
import { limber, temporaryFolder } from "../harness.test-helper.js";

const folder = temporaryFolder();
const MODELS = ["classification", "detection"].map((task) => `models/line/resnet-${task}.onnx`);
const COMMON = ["--models", MODELS.join(), "--limit", "48", "--epochs", "2", "--threads", "1", "--seed", "3", "--json"];

describe("limber line", () => {
  it("patches models one after another, and writes them and patch files that make them from their parents", async () => {
    const output = join(folder, "patched");
    const data = ["--data", "world:day,fog", "--before", "day", "--output", output];
    const { code, json } = await limber(["line", ...COMMON, ...data]);
    expect(code).toBe(0);
    const { models, written } = json() as { models: Record<string, unknown>[]; written: string[] };
    expect(models.map(({ drift, metric }) => [drift, metric]).sort()).toEqual([
      ["fog", "accuracy"],
      ["fog", "mAP@0.5"],
    ]);
    for (const row of models) {
      expect(row).toMatchObject({ samples: 32, accepted: true });
      expect(row.after).toBeGreaterThan(Number(row.before));
    }
    expect(readdirSync(output)).toHaveLength(written.length);
    for (const path of MODELS) {
      const name = path.replace(/.*\//, "").replace(".onnx", "");
      const { patches } = models.find(({ model }) => model === name)!;
      const patched = await readModelFile(join(output, `${name}.onnx`));
      expect([0, 3]).toContain(patches); // none where new statistics alone reach the target
      expect(findPatches(patched)).toHaveLength(Number(patches));
      expect(written.includes(join(output, `${name}.safetensors`))).toBe(patches !== 0);
      if (patches === 0) continue;
      const applied = applyPatch(await readModelFile(path), await loadPatch(join(output, `${name}.safetensors`)));
      const bare = { metadata: new Map<string, string>(), producerName: "", producerVersion: "" };
      expect(writeModel({ ...applied, ...bare })).toEqual(writeModel({ ...patched, ...bare }));
    }
  });

  const small = ["line", "--data", "world:fog", "--limit", "24", "--epochs", "1", "--threads", "1", "--json"];

  it("finds the patch of a domain again where it comes again", async () => {
    const given = [...small, "--models", MODELS[0]!, "--library", join(folder, "past")];
    const rows = [];
    for (let time = 0; time < 2; time++) {
      const { code, json } = await limber(given);
      expect(code).toBe(0);
      rows.push((json() as { models: Record<string, unknown>[] }).models[0]!);
    }
    expect(rows).toMatchObject([
      { start: "zero", epochs: 1, accepted: true },
      { start: "library", from: "fog", epochs: 0, after: rows[0]!.after },
    ]);
    expect(readdirSync(join(folder, "past"))).toHaveLength(2);
  });

  it("learns from a teacher, and is measured by what that says", async () => {
    const { code, json } = await limber([...small, "--models", MODELS[0]!, "--teacher", MODELS[0]!]);
    const [row] = (json() as { models: Record<string, unknown>[] }).models;
    expect([code, row!.before]).toEqual([0, 1]); // its teacher is itself
  });

  it("learns from its own answers, those that it is sure of", async () => {
    const { code, json } = await limber([...small, "--models", MODELS[0]!, "--pseudo"]);
    const [row] = (json() as { models: Record<string, unknown>[] }).models;
    expect([code, row!.epochs]).toEqual([0, 1]);
    expect(row!.samples).toBeLessThanOrEqual(16);
  });

  it("refuses a teacher beside own answers, and a task without a teacher", async () => {
    const both = await limber([...small, "--models", MODELS[0]!, "--teacher", MODELS[0]!, "--pseudo"]);
    expect([both.code, both.stderr.includes("leave one out")]).toEqual([2, true]);
    const left = await limber([...small, "--models", MODELS.join(), "--teacher", MODELS[0]!]);
    expect([left.code, left.stderr.includes("none for detection")]).toEqual([2, true]);
  });

  it("refuses two models of one name, and a domain to start from that is not there", async () => {
    const twice = ["line", "--models", [MODELS[0], MODELS[0]].join(), "--data", "world:fog"];
    expect(await limber(twice)).toMatchObject({ code: 2, stderr: expect.stringContaining("twice") as string });
    const { code, stderr } = await limber(["line", ...COMMON, "--data", "world:fog", "--before", "day"]);
    expect([code, stderr.includes("one of several domains")]).toEqual([2, true]);
    expect(existsSync(join(folder, "other"))).toBe(false);
  });
});
