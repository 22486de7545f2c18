import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { Random, tensorOf } from "../../base/index.js";
import { attr, checkGraph } from "../ir/index.js";
import { Emitter } from "../ops/index.js";
import { inferShapes } from "../passes/index.js";
import { evaluate } from "../reference/index.js";
import { backward } from "./backward.js";
import { exposeSaved } from "./saved.js";

const overlapping = { kernel_shape: attr.ints([3, 3]), strides: attr.ints([2, 2]) };
const tiling = { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) };
const perChannel = tensorOf("float32", [2, 1, 1], [1, -2]);

/** A pool before the trained scale `s`, then one of each kind behind it, and a normalization. */
const { graph } = inferShapes(
  modelOf({
    inputs: { x: [1, 2, 12, 12] },
    outputs: ["y"],
    initializers: { s: tensorOf("float32", [1], [2]), scale: perChannel, bias: perChannel },
    nodes: [
      node("MaxPool", ["x"], ["before"], overlapping),
      node("Mul", ["before", "s"], ["h"]),
      node("MaxPool", ["h"], ["p"], overlapping),
      node("MaxPool", ["p"], ["q"], tiling),
      node("LayerNormalization", ["q", "scale", "bias"], ["y"], { axis: attr.int(1) }),
    ],
  }),
);
const createEmitter = () =>
  new Emitter(17, [...graph.initializers.keys(), ...graph.nodes.flatMap(({ name, outputs }) => [name, ...outputs])]);

test("nodes behind what trains give what their gradients read; others stay", () => {
  const exposed = exposeSaved(graph, ["s"], createEmitter());
  checkGraph(exposed);
  expect(exposed.nodes.map(({ outputs }) => outputs.length)).toEqual([1, 1, 2, 1, 3]);
  const [indices, mean] = [exposed.nodes[2]!.outputs[1]!, exposed.nodes[4]!.outputs[1]!];
  expect(exposed.types.get(indices)).toEqual({ dtype: "int64", dims: [1, 2, 2, 2] });
  expect(exposed.types.get(mean)).toEqual({ dtype: "float32", dims: [1, 1, 1, 1] });
  expect(exposeSaved(exposed, ["s"], createEmitter())).toEqual(exposed);
});

test("the gradient is the same, and computes neither maxima nor means again", () => {
  const random = new Random(3);
  const x = tensorOf(
    "float32",
    [1, 2, 12, 12],
    Array.from({ length: 288 }, () => random.normal()),
  );
  const [plain, saved] = [graph, exposeSaved(graph, ["s"], createEmitter())].map((from) => {
    const emit = new Emitter(17, [...graph.initializers.keys(), ...from.nodes.flatMap((n) => [n.name, ...n.outputs])]);
    const weights = emit.tensor(tensorOf("float32", [1, 2, 1, 1], [1, 3]));
    const loss = emit.sumAll(emit.mul(emit.value("y", from.types.get("y")!), weights));
    const full = emit.appendTo(from);
    const gradient = backward(full, { loss: loss.name, wrt: ["s"], emit }).get("s")!;
    const nodes = emit.appendTo(from).nodes;
    const count = (op: string) => nodes.filter((n) => n.op === op).length;
    const value = evaluate(emit.appendTo(from, [gradient]), { x }, { opset: 17 }).get(gradient.name)!.data;
    return { value, pools: count("MaxPool"), means: count("ReduceMean") };
  });
  expect(plain!.value[0]).not.toBe(0);
  expect(saved!.value).toEqual(plain!.value);
  expect([plain!.pools - saved!.pools, plain!.means - saved!.means]).toEqual([1, 2]);
});
