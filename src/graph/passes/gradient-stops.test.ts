import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { tensorOf } from "../../base/index.js";
import { attr, DTYPE_CODES, type Node } from "../ir/index.js";
import { findGradientStops, trainableOf } from "./gradient-stops.js";

const weight = tensorOf("float32", [2, 2], [1, 2, 3, 4]);
const withNodes = (outputs: readonly string[], nodes: readonly Node[]) =>
  modelOf({
    inputs: { x: [1, 2] },
    outputs: [...outputs],
    initializers: { a: weight, b: weight },
    nodes: [node("MatMul", ["x", "a"], ["h"]), node("MatMul", ["h", "b"], ["y"]), ...nodes],
  });

test("names what stops the gradient, why, and what is cut off by it", () => {
  const model = withNodes(
    ["class"],
    [node("Relu", ["y"], ["z"]), node("ArgMax", ["z"], ["class"], { axis: attr.int(1) })],
  );
  expect(findGradientStops(model)).toMatchObject([{ op: "ArgMax", reason: "not-differentiable", cutOff: ["a", "b"] }]);
  expect(trainableOf(model)).toEqual([]);
});

test("a stop beside a way with a gradient cuts nothing off", () => {
  const model = withNodes(["z"], [node("Floor", ["y"], ["f"]), node("Sub", ["y", "f"], ["z"])]);
  expect(findGradientStops(model)).toMatchObject([{ op: "Floor", cutOff: [] }]);
  expect(trainableOf(model).map(({ name }) => name)).toEqual(["a", "b"]);
});

test("looks only above the given parameters, and takes what leads to a second output too", () => {
  const model = withNodes(["y", "r"], [node("Round", ["h"], ["r"])]);
  expect(findGradientStops(model)).toMatchObject([{ op: "Round", cutOff: [] }]);
  expect(findGradientStops(model, ["b"])).toEqual([]);
});

test("whole numbers end a way: what is computed with them is not blamed", () => {
  const model = withNodes(
    ["z"],
    [
      node("Cast", ["h"], ["i"], { to: attr.int(DTYPE_CODES.int64) }),
      node("Not", ["i"], ["n"]),
      node("Swirl", ["y"], ["z"], {}),
      node("Size", ["y"], ["s"]),
    ],
  );
  expect(
    findGradientStops({
      ...model,
      graph: { ...model.graph, outputs: [...model.graph.outputs, { name: "n", dtype: "bool", dims: undefined }] },
    }),
  ).toMatchObject([
    { op: "Cast", reason: "no gradient rule for to = int64", cutOff: ["a"] },
    { op: "Swirl", reason: "the op is unknown", cutOff: ["a", "b"] },
  ]);
});
