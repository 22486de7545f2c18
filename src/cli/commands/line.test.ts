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
      expect(row).toMatchObject({ patches: 3, samples: 32, accepted: true });
      expect(row.after).toBeGreaterThan(Number(row.before));
    }
    expect(readdirSync(output)).toHaveLength(written.length);
    expect(written).toHaveLength(4);
    for (const path of MODELS) {
      const name = path.replace(/.*\//, "").replace(".onnx", "");
      const patched = await readModelFile(join(output, `${name}.onnx`));
      expect(findPatches(patched)).toHaveLength(3);
      const applied = applyPatch(await readModelFile(path), await loadPatch(join(output, `${name}.safetensors`)));
      const bare = { metadata: new Map<string, string>(), producerName: "", producerVersion: "" };
      expect(writeModel({ ...applied, ...bare })).toEqual(writeModel({ ...patched, ...bare }));
    }
  });

  it("refuses two models of one name, and a domain to start from that is not there", async () => {
    const twice = ["line", "--models", [MODELS[0], MODELS[0]].join(), "--data", "world:fog"];
    expect(await limber(twice)).toMatchObject({ code: 2, stderr: expect.stringContaining("twice") as string });
    const { code, stderr } = await limber(["line", ...COMMON, "--data", "world:fog", "--before", "day"]);
    expect([code, stderr.includes("one of several domains")]).toEqual([2, true]);
    expect(existsSync(join(folder, "other"))).toBe(false);
  });
});
