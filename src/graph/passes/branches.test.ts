import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { int64s, scalar, tensorOf } from "../../base/index.js";
import { attr, checkGraph, type Graph, type Model } from "../ir/index.js";
import { evaluate } from "../reference/index.js";
import { inlineBranches } from "./branches.js";
import { prepareModel } from "./prepare.js";

const branch = (output: string, nodes: Graph["nodes"], initializers: Record<string, ReturnType<typeof scalar>> = {}) =>
  attr.graph(modelOf({ outputs: [output], nodes, initializers }).graph);
const opsOf = ({ graph }: Model): string[] => graph.nodes.map(({ op }) => op);

/** Squeezes axis 1 where it is 1, as exporters write it. */
const squeeze = (channels: number): Model =>
  modelOf({
    inputs: { x: ["N", channels, 3] },
    outputs: ["y"],
    initializers: { one: int64s([1]), axis: scalar("int64", 1) },
    nodes: [
      node("Shape", ["x"], ["shape"], { start: attr.int(1), end: attr.int(2) }),
      node("Equal", ["shape", "one"], ["isOne"]),
      node("If", ["isOne"], ["h"], {
        then_branch: branch("inner", [node("Squeeze", ["x", "one"], ["inner"])]),
        else_branch: branch("inner", [node("Identity", ["x"], ["inner"])]),
      }),
      node("Neg", ["h"], ["y"]),
    ],
  });

test.each([
  [1, ["Squeeze", "Neg"], [1, 3]],
  [2, ["Identity", "Neg"], [1, 2, 3]],
])("takes the branch that the size decides: %i channels", (channels, ops, dims) => {
  const prepared = prepareModel(squeeze(channels));
  checkGraph(prepared.graph);
  expect(opsOf(prepared)).toEqual(ops);
  const values = Array.from({ length: 3 * channels }, (_, i) => i + 1);
  const y = evaluate(prepared, { x: tensorOf("float32", [1, channels, 3], values) }).get("y");
  expect(y).toMatchObject({ dims, data: Float64Array.from(values, (v) => -v) });
});

test("a condition that is not known stays, and the model is returned as it is", () => {
  const model = modelOf({
    inputs: { x: [2], c: { dtype: "bool", dims: [] } },
    outputs: ["y"],
    nodes: [
      node("If", ["c"], ["y"], {
        then_branch: branch("a", [node("Neg", ["x"], ["a"])]),
        else_branch: branch("b", [node("Abs", ["x"], ["b"])]),
      }),
    ],
  });
  expect(inlineBranches(model)).toBe(model);
});

test("branches of branches, weights inside of them and names that are in use outside", () => {
  const inner = (name: string) =>
    node("If", ["yes"], [name], {
      then_branch: branch("w", [], { w: scalar("float32", 5) }),
      else_branch: branch("x", []),
    });
  const model = modelOf({
    inputs: { x: [] },
    outputs: ["y"],
    initializers: { yes: scalar("bool", 1), w: scalar("float32", 2) },
    nodes: [
      node("Mul", ["x", "w"], ["t"]),
      node("If", ["yes"], ["h"], {
        then_branch: branch("out", [inner("t"), node("Add", ["t", "w"], ["out"])]),
        else_branch: branch("x", []),
      }),
      node("Add", ["h", "t"], ["y"]),
    ],
  });
  const prepared = prepareModel(model);
  checkGraph(prepared.graph);
  expect(opsOf(prepared)).not.toContain("If");
  expect(evaluate(prepared, { x: scalar("float32", 10) }).get("y")!.data).toEqual(Float64Array.of(5 + 2 + 10 * 2));
});
