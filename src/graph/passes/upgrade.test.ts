import { describe, expect, test } from "vitest";
import { modelOf, type ModelParts, node } from "../../../test/helpers/graph.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { int64s, Random, sizeOf, type Tensor, tensorOf, toNumbers } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { findOpType } from "../ops/index.js";
import { NEWEST_OPSET, OLDEST_OPSET, upgradeOpset } from "./upgrade.js";

const floats = (dims: readonly number[], seed = 1): Tensor => {
  const random = new Random(seed);
  return tensorOf(
    "float32",
    dims,
    Array.from({ length: sizeOf(dims) }, () => random.uniform(-2, 2)),
  );
};
const single = (
  op: string,
  attributes: Parameters<typeof node>[3] = {},
  parts: Partial<ModelParts> & { reads?: string[] } = {},
): Model =>
  modelOf({
    inputs: { x: [2, 3, 4, 6] },
    outputs: ["y"],
    opset: 9,
    nodes: [node(op, ["x", ...(parts.reads ?? [])], ["y"], attributes)],
    ...parts,
  });

const statistics = {
  s: floats([3], 2),
  b: floats([3], 3),
  m: floats([3], 4),
  v: tensorOf("float32", [3], [0.5, 1, 2]),
};
const scales = (...values: number[]) => ({ scales: tensorOf("float32", [values.length], values) });
const mode = (value: string) => ({ mode: attr.string(value) });

/** Old models, one form each, whose inputs are [2,3,4,6]. */
const cases: Record<string, Model> = {
  "Squeeze axes": modelOf({
    inputs: { x: [2, 3, 4, 6] },
    outputs: ["y"],
    opset: 11,
    nodes: [
      node("Unsqueeze", ["x"], ["u"], { axes: attr.ints([0, 3]) }),
      node("Squeeze", ["u"], ["y"], { axes: attr.ints([0]) }),
    ],
  }),
  "ReduceSum axes": single("ReduceSum", { axes: attr.ints([1, -1]), keepdims: attr.int(0) }, { opset: 11 }),
  "ReduceSum over all": single("ReduceSum", {}, { opset: 12 }),
  "Split lengths": modelOf({
    inputs: { x: [2, 3, 4, 6] },
    outputs: ["y", "z"],
    opset: 11,
    nodes: [node("Split", ["x"], ["y", "z"], { axis: attr.int(3), split: attr.ints([2, 4]) })],
  }),
  "Slice ranges": single("Slice", {
    starts: attr.ints([1, -3]),
    ends: attr.ints([3, 2 ** 63]),
    axes: attr.ints([2, 3]),
  }),
  "Slice without axes": single("Slice", { starts: attr.ints([0, 1]), ends: attr.ints([1, 2]) }),
  "Clip bounds": single("Clip", { min: attr.float(-0.5), max: attr.float(0.75) }),
  "Clip above": single("Clip", { max: attr.float(0.75) }),
  "Pad constant": single("Pad", { pads: attr.ints([0, 0, 1, 2, 0, 0, 0, 1]), value: attr.float(0.25) }),
  "Pad reflect": single("Pad", { pads: attr.ints([0, 0, 1, 2, 0, 0, 0, 1]), mode: attr.string("reflect") }),
  "Dropout ratio": single("Dropout", { ratio: attr.float(0.3) }, { opset: 10 }),
  "Softmax over many axes": single("Softmax", {}, { opset: 11 }),
  "Softmax over everything": single("Softmax", { axis: attr.int(0) }, { opset: 12 }),
  "Softmax over one axis": single("Softmax", { axis: attr.int(3) }),
  "Softmax before axes of 1": single("Softmax", {}, { inputs: { x: [2, 3, 1, 1] } }),
  "LogSoftmax over open axes": single("LogSoftmax", { axis: attr.int(2) }, { inputs: { x: ["N", 3, "H", 6] } }),
  "Upsample nearest": single("Upsample", mode("nearest"), { reads: ["scales"], initializers: scales(1, 1, 2, 1.5) }),
  "Upsample linear": single("Upsample", mode("linear"), { reads: ["scales"], initializers: scales(1, 1, 2, 2) }),
  "Resize up": single("Resize", mode("nearest"), { opset: 10, reads: ["scales"], initializers: scales(1, 1, 1.7, 3) }),
  "Resize down": single("Resize", mode("nearest"), {
    opset: 10,
    reads: ["scales"],
    initializers: scales(1, 1, 0.6, 0.5),
  }),
  "Resize linear": single("Resize", mode("linear"), {
    opset: 10,
    reads: ["scales"],
    initializers: scales(1, 1, 0.5, 2),
  }),
  BatchNormalization: single("BatchNormalization", {}, { reads: ["s", "b", "m", "v"], initializers: statistics }),
  "TopK count": modelOf({
    inputs: { x: [2, 3, 4, 6] },
    outputs: { y: { dtype: "float32", dims: undefined }, i: { dtype: "int64", dims: undefined } },
    opset: 9,
    nodes: [node("TopK", ["x"], ["y", "i"], { k: attr.int(2), axis: attr.int(1) })],
  }),
  Scatter: single(
    "Scatter",
    {},
    { reads: ["i", "u"], initializers: { i: tensorOf("int64", [1, 1, 1, 2], [1, 0]), u: floats([1, 1, 1, 2]) } },
  ),
};

describe("upgradeOpset", () => {
  test.each(Object.keys(cases))("%s: computes the same", async (name) => {
    const old = cases[name]!;
    const upgraded = upgradeOpset(old);
    expect(upgraded.opsets.get("")).toBe(17);
    expect(upgraded.graph.nodes.map((n) => findOpType(n))).not.toContain(undefined);
    const dims = (old.graph.inputs[0]!.dims ?? []).map((d, i) => (typeof d === "number" ? d : 2 + i));
    const feeds = new Map([["x", floats(dims)]]);
    const [before, after] = [await runOrt(old, feeds), await runOrt(upgraded, feeds)];
    for (const [output, value] of before) {
      expect(after.get(output)?.dims).toEqual(value.dims);
      toNumbers(value).forEach((x, i) => expect(toNumbers(after.get(output)!)[i]).toBeCloseTo(x, 6));
    }
  });

  test("an axis that stands alone needs no reshaping", () => {
    expect(upgradeOpset(cases["Softmax over one axis"]!).graph.nodes).toHaveLength(1);
    expect(upgradeOpset(cases["Softmax before axes of 1"]!).graph.nodes).toHaveLength(1);
  });

  test("BatchNormalization with more outputs trained: it keeps the running statistics and drops the saved ones", () => {
    const inputs = ["x", "s", "b", "m", "v"];
    const parts = { inputs: { x: [2, 3, 4, 6] }, initializers: statistics, opset: 9 };
    const training = node("BatchNormalization", inputs, ["y", "rm", "rv", "sm", "sv"]);
    const [upgraded] = upgradeOpset(modelOf({ ...parts, outputs: ["y"], nodes: [training] })).graph.nodes;
    expect(upgraded).toMatchObject({ outputs: ["y", "rm", "rv"], attributes: { training_mode: attr.int(1) } });
    expect(() => upgradeOpset(modelOf({ ...parts, outputs: ["sm"], nodes: [training] }))).toThrow(
      'got a reader of "sm"',
    );
  });

  test("nested graphs are rewritten with the types and names of the outer one", () => {
    const inner = modelOf({ outputs: ["s"], nodes: [node("Softmax", ["x"], ["s"], { axis: attr.int(1) })] }).graph;
    const model = modelOf({
      inputs: { x: [2, 3], condition: { dtype: "bool", dims: [] } },
      outputs: ["y"],
      opset: 11,
      nodes: [node("If", ["condition"], ["y"], { then_branch: attr.graph(inner), else_branch: attr.graph(inner) })],
    });
    const branch = upgradeOpset(model).graph.nodes[0]!.attributes.then_branch;
    expect(branch?.kind === "graph" && branch.value.nodes).toMatchObject([
      { op: "Softmax", attributes: { axis: attr.int(1) } },
    ]);
  });

  test("weights that are listed as inputs become plain initializers", () => {
    const model = modelOf({
      inputs: { x: [2], w: [2] },
      outputs: ["y"],
      initializers: { w: floats([2]) },
      nodes: [node("Mul", ["x", "w"], ["y"])],
    });
    expect(upgradeOpset(model).graph.inputs.map(({ name }) => name)).toEqual(["x"]);
  });

  test("opsets from 17 on are kept as they are", () => {
    for (const opset of [17, 18, NEWEST_OPSET]) {
      const model = single("ReduceMean", { keepdims: attr.int(0) }, { opset });
      expect(upgradeOpset(model)).toEqual(model);
    }
  });

  test.each([OLDEST_OPSET - 1, NEWEST_OPSET + 1])("opset %d is refused by its number", (opset) => {
    expect(() => upgradeOpset(single("Relu", {}, { opset }))).toThrow(
      `model: opset 9 to 23, got ${opset}; export it again with opset 17`,
    );
  });

  test("fresh names do not collide with those of the model", () => {
    const model = modelOf({
      inputs: { x: [1, 2], "y/Squeeze_axes": { dtype: "int64", dims: [1] } },
      outputs: ["y"],
      opset: 11,
      nodes: [node("Squeeze", ["x"], ["y"], { axes: attr.ints([0]) })],
    });
    const { graph } = upgradeOpset(model);
    expect(graph.nodes[0]!.inputs).toEqual(["x", "y/Squeeze_axes_1"]);
    expect(graph.initializers.get("y/Squeeze_axes_1")).toEqual(int64s([0]));
  });
});
