import { expect, test } from "vitest";
import { modelOf } from "../../../../test/helpers/graph.js";
import { runOrt } from "../../../../test/helpers/ort.js";
import { Random, sizeOf, type Tensor, tensorOf } from "../../../base/index.js";
import { backward } from "../../autodiff/index.js";
import { attr, type Model } from "../../ir/index.js";
import { evaluate } from "../../reference/index.js";
import { Emitter, type Val } from "../index.js";

/** dX of a 2 × … × 2 pool for the gradient g of its output. */
function gradientOf(dims: readonly number[]): Model {
  const emit = new Emitter(17, ["x", "g"]);
  const x = emit.value("x", { dtype: "float32", dims });
  const kernel = dims.slice(2).map(() => 2);
  const attributes = { kernel_shape: attr.ints(kernel), strides: attr.ints(kernel) };
  const y: Val = emit.node("MaxPool", [x], attributes)[0];
  const loss = emit.sumAll(emit.mul(y, emit.value("g", y)));
  const inputs = { x: dims, g: y.dims };
  const model = modelOf({ inputs, outputs: [], nodes: [] });
  const dX = backward(emit.appendTo(model.graph), { loss: loss.name, wrt: ["x"], emit }).get("x")!;
  return { ...model, graph: emit.appendTo(model.graph, [dX]) };
}

const outputOf = ({ graph }: Model): string => graph.outputs[0]!.name;

test("the gradient of a pool whose windows tile shares evenly between equal maxima, and leaves out what no window covers", () => {
  const model = gradientOf([1, 1, 3, 5]);
  expect(model.graph.nodes.filter(({ op }) => op === "MaxPool")).toHaveLength(1);
  const x = tensorOf("float32", [1, 1, 3, 5], [3, 3, 0, 2, 9, 1, 3, 2, 1, 9, 9, 9, 9, 9, 9]);
  const g = tensorOf("float32", [1, 1, 1, 2], [6, 4]);
  // Of the first window three are equal, of the second two.
  const found = evaluate(model, { x, g }).get(outputOf(model))!.data;
  expect([...found]).toEqual([2, 2, 0, 2, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0]);
});

test.each([[[2, 3, 6]], [[2, 3, 5, 4]], [[1, 2, 4, 3, 6]]])("ONNX Runtime agrees on %j", async (dims) => {
  const model = gradientOf(dims);
  const random = new Random(7);
  const draw = (shape: readonly number[]): Tensor =>
    tensorOf(
      "float32",
      shape,
      Float64Array.from({ length: sizeOf(shape) }, () => random.normal()),
    );
  const feeds = new Map(model.graph.inputs.map((v) => [v.name, draw(v.dims as number[])]));
  const expected = evaluate(model, feeds).get(outputOf(model))!;
  const found = (await runOrt(model, feeds)).get(outputOf(model))!;
  expect(found.dims).toEqual(expected.dims);
  expected.data.forEach((v, i) => expect((found.data as Float32Array)[i]).toBeCloseTo(v, 5));
});
