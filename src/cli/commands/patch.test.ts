import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { tensorOf } from "../../base/index.js";
import { attachPatches, type Model, patchParameters, readModel, splitBackbone, writeModel } from "../../graph/index.js";
import { EXIT } from "../command.js";
import { limber, temporaryFolder, tinyModel } from "../harness.test-helper.js";

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);

/** All patches with numbers other than those of the start. */
function patchedModel(): Model {
  const { graph, ...model } = attachPatches(tinyModel(), splitBackbone(tinyModel()), { seed: 1 });
  const names = patchParameters({ graph, ...model });
  const filled = names.map((name, i) => {
    const { dims, data } = graph.initializers.get(name)!;
    return [name, tensorOf("float32", dims, Array<number>(data.length).fill(0.01 * (i + 1)))] as const;
  });
  return { ...model, graph: { ...graph, initializers: new Map([...graph.initializers, ...filled]) } };
}
writeFileSync(at("model.onnx"), writeModel(tinyModel()));
writeFileSync(at("patched.onnx"), writeModel(patchedModel()));
const sameBytes = (a: string, b: string): boolean => Buffer.compare(readFileSync(at(a)), readFileSync(at(b))) === 0;
const patch = (...argv: string[]) =>
  limber(["patch", ...argv.map((each) => (each.includes(".") ? at(each) : each)), "--json"]);

describe("limber patch", () => {
  test("takes patches out of a model into a small file, and puts them into the model again", async () => {
    const exported = await patch("export", "patched.onnx", "--domain", "fog", "--output", "fog.safetensors");
    expect(exported.code).toBe(EXIT.ok);
    expect(exported.json()).toMatchObject({ domain: "fog", others: [], output: at("fog.safetensors") });
    const applied = await patch("apply", "model.onnx", "fog.safetensors", "--output", "again.onnx");
    expect(applied.code).toBe(EXIT.ok);
    expect(sameBytes("again.onnx", "patched.onnx")).toBe(true);
    const listed = [await patch("list", "fog.safetensors"), await patch("list", "patched.onnx")];
    const [file, model] = listed.map(({ json }) => json());
    expect(file!.patches).toEqual(model!.patches);
    expect(file!.parent).toBe(model!.parent);
    expect((file!.patches as object[])[2]).toMatchObject({ group: 3, channels: 16, layout: "map", stride: 4 });
    expect(file!.sizeBytes).toBe(readFileSync(at("fog.safetensors")).length);
  });

  test("removes patches: the bytes are those of the model before", async () => {
    expect((await patch("remove", "patched.onnx", "--output", "bare.onnx")).code).toBe(EXIT.ok);
    expect(sameBytes("bare.onnx", "model.onnx")).toBe(true);
    await patch("remove", "patched.onnx", "--groups", "1,2", "--output", "third.onnx");
    expect((await patch("list", "third.onnx")).json().patches).toMatchObject([{ group: 3 }]);
  });

  test("merges patches: no patch is left to remove", async () => {
    const merged = await patch("merge", "patched.onnx", "--output", "merged.onnx");
    expect(merged.json()).toMatchObject({ patches: [], parent: null });
    expect(readModel(readFileSync(at("merged.onnx"))).graph.initializers.has("patch.1.scale")).toBe(false);
    expect((await patch("remove", "merged.onnx", "--output", "no.onnx")).code).toBe(EXIT.usage);
  });

  test("takes along what trained beside the patches, where the parent is given", async () => {
    const { graph, ...rest } = patchedModel();
    const initializers = new Map([...graph.initializers, ["classifier.bias", tensorOf("float32", [3], [1, 2, 3])]]);
    writeFileSync(at("head.onnx"), writeModel({ ...rest, graph: { ...graph, initializers } }));
    const exported = await patch("export", "head.onnx", "--parent", "model.onnx", "--output", "head.safetensors");
    expect(exported.json().others).toEqual(["classifier.bias"]);
    await patch("apply", "model.onnx", "head.safetensors", "--output", "again.onnx");
    expect(sameBytes("again.onnx", "head.onnx")).toBe(true);
  });

  test("prints a table for a human", async () => {
    const { stdout } = await limber(["patch", "list", at("patched.onnx")]);
    expect(stdout).toMatch(/group, value +size +stride +parameters\n1 \S+ +8 channels +1 +\d+\n/);
    expect((await limber(["patch", "list", at("model.onnx")])).stdout).toContain("no patches");
  });

  test("refuses a patch of another model, and a truncated one, each with its code", async () => {
    await patch("export", "patched.onnx", "--output", "fog.safetensors");
    writeFileSync(at("other.onnx"), writeModel({ ...patchedModel(), metadata: new Map() }));
    const other = await patch("apply", "other.onnx", "fog.safetensors", "--output", "no.onnx");
    expect(other.json()).toMatchObject({ error: { code: "patch.parent" } });
    writeFileSync(at("cut.safetensors"), readFileSync(at("fog.safetensors")).subarray(0, 2000));
    const cut = await patch("apply", "model.onnx", "cut.safetensors", "--output", "no.onnx");
    expect([other.code, cut.code]).toEqual([EXIT.failure, EXIT.failure]);
    expect(cut.json()).toMatchObject({ error: { code: "data.invalid" } });
  });

  test.each([
    [["sew", "model.onnx"], 'one of apply, remove, merge, export, list, got "sew"'],
    [["apply", "model.onnx", "--output", "x.onnx"], "a model and a patch file, got no patch file"],
    [["remove", "patched.onnx"], "a file to write, got none; give --output"],
    [["export", "model.onnx", "--output", "x.safetensors"], "one with patches, got none"],
    [["export", "patched.onnx", "--groups", "3,4", "--output", "x.safetensors"], "in groups 3, 4, got some in 1, 2, 3"],
  ])("refuses %j", async (argv, message) => {
    const { code, json } = await patch(...argv);
    expect(code).toBe(EXIT.usage);
    expect((json().error as { message: string }).message).toContain(message);
  });
});
