import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { int64s, zeros } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { inferShapes } from "./shapes.js";

const dimsOf = (model: Model, name: string) => model.graph.types.get(name)?.dims;

/** What exporters write for `x.view(x.size(0), -1)` after a convolution. */
const flattened = modelOf({
  inputs: { x: ["N", 3, "H", "H"] },
  outputs: { y: ["N", "features"] },
  initializers: { w: zeros("float32", [8, 3, 3, 3]), zero: int64s([0]), rest: int64s([-1]) },
  nodes: [
    node("Conv", ["x", "w"], ["c"], { strides: attr.ints([2, 2]) }),
    node("Shape", ["c"], ["shape"]),
    node("Gather", ["shape", "zero"], ["batch"]),
    node("Concat", ["batch", "rest"], ["target"], { axis: attr.int(0) }),
    node("Reshape", ["c", "target"], ["y"]),
  ],
});

describe("inferShapes", () => {
  test("follows shape arithmetic by value once the inputs are bound", () => {
    const model = inferShapes(flattened, { inputDims: { x: [2, 3, 9, 9] } });
    expect(dimsOf(model, "c")).toEqual([2, 8, 4, 4]);
    expect(dimsOf(model, "y")).toEqual([2, 128]);
    expect(model.graph.outputs[0]).toEqual({ name: "y", dtype: "float32", dims: [2, 128] });
  });

  test("keeps names, and what the file declares where a rule knows nothing", () => {
    const model = inferShapes(flattened);
    expect(dimsOf(model, "c")).toEqual(["N", 8, "", ""]);
    expect(dimsOf(model, "y")).toEqual(["N", "features"]);
  });

  test("binds a name everywhere it stands", () => {
    const model = inferShapes(flattened, { batch: 4 });
    expect(model.graph.inputs[0]?.dims).toEqual([4, 3, "H", "H"]);
    expect(model.graph.outputs[0]?.dims).toEqual([4, "features"]);
  });

  test("leaves a fixed first axis as it is", () => {
    const fixed = modelOf({ inputs: { x: [1, 4] }, outputs: ["y"], nodes: [node("Relu", ["x"], ["y"])] });
    expect(dimsOf(inferShapes(fixed, { batch: 4 }), "y")).toEqual([1, 4]);
  });

  test.each([
    ["another rank", { x: [2, 3, 9] }, 'input "x": [N,3,H,H], got [2,3,9]'],
    ["a fixed axis", { x: [2, 4, 9, 9] }, 'input "x": [2,3,H,H], got [2,4,9,9]'],
    ["one name with two sizes", { x: [2, 3, 9, 8] }, 'input "x": [2,3,9,9], got [2,3,9,8]'],
    ["half a pixel", { x: [2, 3, 9.5, 9.5] }, 'input "x": [2,3,H,H], got [2,3,9.5,9.5]'],
    ["an input that is not there", { z: [1] }, 'input dims: an input of the model ("x"), got "z"'],
  ])("refuses %s", (_, inputDims, message) => {
    expect(() => inferShapes(flattened, { inputDims })).toThrow(message);
  });

  test("an op without a rule leaves its outputs unknown and is no error", () => {
    const model = modelOf({
      inputs: { x: [2] },
      outputs: ["z"],
      nodes: [node("Telepathy", ["x"], ["y"]), node("Relu", ["y"], ["z"])],
    });
    expect(inferShapes(model).graph.types.size).toBe(1);
    expect(dimsOf(inferShapes(model), "z")).toBeUndefined();
  });
});
