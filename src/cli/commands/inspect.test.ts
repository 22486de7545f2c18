import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Model, readModel, type Node, writeModel } from "../../graph/index.js";
import { EXIT } from "../command.js";
import { limber, temporaryFolder, tinyModel, writeTinyModel } from "../harness.test-helper.js";

const folder = temporaryFolder();
const model = writeTinyModel(folder);

/** Writes the tiny model with nodes between its logits and a new output. */
function writeExtended(name: string, nodes: readonly Partial<Node>[], dtype: "float32" | "int64" = "float32"): string {
  const tiny = tinyModel();
  const full = nodes.map((node): Node => ({
    op: "",
    domain: "",
    name: "",
    inputs: [],
    outputs: [],
    attributes: {},
    ...node,
  }));
  const output = { name: full.at(-1)!.outputs[0]!, dtype, dims: undefined };
  const extended: Model = {
    ...tiny,
    graph: { ...tiny.graph, nodes: [...tiny.graph.nodes, ...full], outputs: [output] },
  };
  const path = join(folder, name);
  writeFileSync(path, writeModel(extended));
  return path;
}

describe("--split", () => {
  it("lists where patches can stand", async () => {
    const path = writeTinyModel(temporaryFolder());
    const { json } = await limber(["inspect", path, "--split", "--json"]);
    expect(json().split).toMatchObject([
      { group: 1, channels: 8, stride: 1 },
      { group: 2, channels: 8, stride: 2 },
      { group: 3, channels: 16, stride: 4 },
    ]);
    const { stdout } = await limber(["inspect", path, "--split"]);
    expect(stdout).toMatch(/patch point +group +layout +channels +stride\n\S+ +1 +map +8 +1\n/);
  });
});

describe("limber inspect", () => {
  it("counts what a model holds, and finds all of it trainable", async () => {
    const { code, json } = await limber(["inspect", model, "--json"]);
    expect(code).toBe(EXIT.ok);
    const found = json();
    const { initializers } = readModel(readFileSync(model)).graph;
    const trained = [...initializers].filter(([name]) => !name.includes("running"));
    const parameters = trained.reduce((sum, [, tensor]) => sum + tensor.data.length, 0);
    expect(found).toMatchObject({ parameters, trainable: parameters, ungradable: [], unknownShapes: 0, opset: 17 });
    expect(found.inputs).toEqual([{ name: "input", dtype: "float32", dims: ["batch", 3, 16, 16] }]);
    expect(found.ops).toMatchObject({ Conv: 9, BatchNormalization: 9, Gemm: 1 });
    expect(Object.values(found.ops as Record<string, number>).reduce((a, b) => a + b)).toBe(found.nodes);
    expect(found.macs).toBeGreaterThan(parameters);
  });

  it("prints the same for a human", async () => {
    const { stdout } = await limber(["inspect", model]);
    expect(stdout).toMatch(/inputs\s+input\s+float32 \[batch,3,16,16\]/);
    expect(stdout).toMatch(/BatchNormalization\s+9/);
    expect(stdout).not.toContain("no gradient");
  });

  it("names the op that no gradient passes, and what it leaves untrainable", async () => {
    const path = writeExtended(
      "argmax.onnx",
      [{ op: "ArgMax", name: "best", inputs: ["logits"], outputs: ["class"] }],
      "int64",
    );
    const { json } = await limber(["inspect", path, "--json"]);
    expect(json()).toMatchObject({ trainable: 0, ungradable: [{ op: "ArgMax", node: "best" }] });
    expect((await limber(["inspect", path])).stdout).toContain('ArgMax "best": not-differentiable');
  });

  it("takes an unknown op for an obstacle, and names a nameless node by its output", async () => {
    const path = writeExtended("custom.onnx", [
      { op: "Swirl", domain: "my.ops", inputs: ["logits"], outputs: ["swirled"] },
    ]);
    const { code, json } = await limber(["inspect", path, "--json"]);
    expect(code).toBe(EXIT.ok);
    expect(json()).toMatchObject({ ungradable: [{ op: "Swirl", node: "swirled" }], ops: { "my.ops.Swirl": 1 } });
  });

  it("does not blame ops that only read a shape", async () => {
    const path = writeExtended("shape.onnx", [
      { op: "Shape", name: "size", inputs: ["logits"], outputs: ["shape"] },
      { op: "Reshape", name: "same", inputs: ["logits", "shape"], outputs: ["again"] },
    ]);
    const { json } = await limber(["inspect", path, "--json"]);
    const { parameters, trainable, ungradable } = json();
    expect(ungradable).toEqual([]);
    expect(trainable).toBe(parameters);
  });

  it("counts MACs of a model with open axes once it is told the size", async () => {
    const tiny = tinyModel();
    const inputs = [{ ...tiny.graph.inputs[0]!, dims: ["batch", 3, "height", "width"] }];
    const path = join(folder, "open.onnx");
    writeFileSync(path, writeModel({ ...tiny, graph: { ...tiny.graph, inputs } }));
    const closed = (await limber(["inspect", model, "--json"])).json();
    const open = (await limber(["inspect", path, "--json"])).json();
    expect(open.unknownShapes).toBeGreaterThan(0);
    for (const shape of ["3x16x16", "1x3x16x16"]) {
      const told = (await limber(["inspect", path, "--input", shape, "--json"])).json();
      expect(told).toMatchObject({ macs: closed.macs, unknownShapes: 0 });
    }
    const wrong = await limber(["inspect", path, "--input", "1x16x16", "--json"]);
    expect(wrong.code).toBe(EXIT.failure);
    expect(wrong.json()).toMatchObject({ error: { code: "shape.mismatch" } });
  });

  it("reports a truncated file, and one that is not there", async () => {
    const path = join(folder, "truncated.onnx");
    writeFileSync(path, readFileSync(model).subarray(0, 5000));
    const truncated = await limber(["inspect", path, "--json"]);
    expect(truncated.code).toBe(EXIT.failure);
    expect(truncated.json()).toMatchObject({ error: { code: "model.malformed" } });
    const missing = await limber(["inspect", join(folder, "nothing.onnx"), "--json"]);
    expect(missing.code).toBe(EXIT.failure);
    expect(missing.json()).toMatchObject({ error: { code: "io.not-found" } });
  });
});

const data = process.env.LIMBER_DATA;
describe.runIf(data)("limber inspect on the models of LIMBER_DATA", () => {
  const paths = data
    ? readdirSync(data, { recursive: true })
        .map(String)
        .filter((path) => path.endsWith(".onnx"))
    : [];

  it.each(paths)("describes %s", async (path) => {
    const { code, json } = await limber(["inspect", join(data!, path), "--json"]);
    expect(code).toBe(EXIT.ok);
    const { ops, parameters, trainable, ungradable } = json();
    expect(Object.keys(ops as object).length).toBeGreaterThan(0);
    expect(parameters).toBeGreaterThan(10_000);
    expect(trainable).toBeGreaterThan(10_000);
    expect(ungradable).toEqual([]);
  });
});
