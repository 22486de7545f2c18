import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { int64s, scalar, sizeOf, tensorOf, toNumbers } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { foldConstants } from "./fold.js";
import { parametersOf } from "./parameters.js";
import { sweepDead } from "./sweep.js";

const opsOf = (model: Model): string[] => model.graph.nodes.map(({ op }) => op);
const elementsOf = (model: Model): number =>
  [...model.graph.initializers.values()].reduce((n, t) => n + sizeOf(t.dims), 0);

describe("foldConstants", () => {
  test("computes what follows from constants, in the element type", () => {
    const model = modelOf({
      inputs: { x: [2] },
      outputs: ["y"],
      initializers: {
        a: tensorOf("float32", [2], [1, 2]),
        b: tensorOf("int64", [2], [7, -7]),
        three: scalar("int64", 3),
      },
      nodes: [
        node("Div", ["b", "three"], ["quotient"]),
        node("Cast", ["quotient"], ["c"], { to: attr.int(1) }),
        node("Mul", ["a", "c"], ["scale"]),
        node("Mul", ["x", "scale"], ["y"]),
      ],
    });
    const folded = foldConstants(model);
    expect(opsOf(folded)).toEqual(["Mul"]);
    expect([...folded.graph.initializers.keys()]).toEqual(["scale"]);
    expect(folded.graph.initializers.get("scale")).toMatchObject({ dtype: "float32", dims: [2] });
    expect(toNumbers(folded.graph.initializers.get("scale")!)).toEqual([2, -4]);
  });

  test("a Reshape to computed sizes, one of them open, asks for that one as -1, and what comes after it is known", () => {
    const model = modelOf({
      inputs: { x: ["batch", 8, 3, 5] },
      outputs: { y: ["batch", 4, 3, 5] },
      initializers: {
        zero: int64s([0]),
        one: int64s([1]),
        two: int64s([2]),
        four: int64s([4]),
        spatial: int64s([3, 5]),
      },
      nodes: [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Gather", ["shape", "one"], ["channels"]),
        node("Div", ["channels", "two"], ["half"]),
        node("Concat", ["batch", "two", "half", "spatial"], ["halves"], { axis: attr.int(0) }),
        node("Concat", ["batch", "channels", "spatial"], ["whole"], { axis: attr.int(0) }),
        node("Reshape", ["x", "halves"], ["split"]),
        node("Transpose", ["split"], ["turned"], { perm: attr.ints([0, 2, 1, 3, 4]) }),
        node("Reshape", ["turned", "whole"], ["shuffled"]),
        node("Shape", ["shuffled"], ["again"]),
        node("Gather", ["again", "one"], ["all"]),
        node("Div", ["all", "two"], ["end"]),
        node("Slice", ["shuffled", "zero", "end", "one"], ["y"]),
      ],
    });
    const folded = foldConstants(model);
    expect(opsOf(folded)).toEqual(["Reshape", "Transpose", "Reshape", "Slice"]);
    const targets = folded.graph.nodes.flatMap(({ op, inputs }) => (op === "Reshape" ? [inputs[1]!] : []));
    const sizes = targets.map((name) => toNumbers(folded.graph.initializers.get(name)!));
    expect(sizes).toEqual([
      [-1, 2, 4, 3, 5],
      [-1, 8, 3, 5],
    ]);
    expect(toNumbers(folded.graph.initializers.get("end")!)).toEqual([4]);
    expect(foldConstants(folded)).toEqual(folded);
  });

  test("a Reshape with two open sizes stays", () => {
    const model = modelOf({
      inputs: { x: ["batch", "channels", 4] },
      outputs: ["y"],
      initializers: { first: int64s([0, 1]), two: int64s([2]) },
      nodes: [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["open"]),
        node("Concat", ["open", "two", "two"], ["sizes"], { axis: attr.int(0) }),
        node("Reshape", ["x", "sizes"], ["y"]),
      ],
    });
    expect(opsOf(foldConstants(model))).toEqual(opsOf(model));
  });

  test("nothing follows from an initializer that is about to change", () => {
    const model = modelOf({
      inputs: { x: [2] },
      outputs: ["y"],
      initializers: { a: tensorOf("float32", [2], [1, 2]), b: tensorOf("float32", [2], [3, 4]) },
      nodes: [
        node("Neg", ["a"], ["c"]),
        node("Neg", ["b"], ["d"]),
        node("Mul", ["c", "d"], ["scale"]),
        node("Mul", ["x", "scale"], ["y"]),
      ],
    });
    const folded = foldConstants(model, ["a"]);
    expect(opsOf(folded)).toEqual(["Neg", "Mul", "Mul"]);
    expect([...folded.graph.initializers.keys()]).toEqual(["a", "d"]);
  });

  test("a static shape is a constant, a shape with a name is not", () => {
    const shapeOf = (dims: readonly (number | string)[]): Model =>
      modelOf({
        inputs: { x: dims },
        outputs: ["y"],
        nodes: [node("Shape", ["x"], ["s"]), node("Size", ["x"], ["n"]), node("Expand", ["n", "s"], ["y"])],
      });
    expect(opsOf(foldConstants(shapeOf([2, 3])))).toEqual(["Expand"]);
    expect(opsOf(foldConstants(shapeOf(["N", 3])))).toEqual(["Shape", "Size", "Expand"]);
  });

  test("sizes that are known are picked out of a shape with open ones, and only those are constant", () => {
    const model = modelOf({
      inputs: { x: ["N", 3, 8] },
      outputs: { c: { dtype: "int64", dims: [] }, n: { dtype: "int64", dims: [] }, same: { dtype: "bool", dims: [3] } },
      initializers: { zero: scalar("int64", 0), one: scalar("int64", 1), expected: int64s([1, 3, 8]) },
      nodes: [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "one"], ["channels"]),
        node("Add", ["channels", "one"], ["c"]),
        node("Gather", ["s", "zero"], ["images"]),
        node("Add", ["images", "one"], ["n"]),
        node("Equal", ["s", "expected"], ["same"]),
      ],
    });
    const folded = foldConstants(model);
    expect(opsOf(folded)).toEqual(["Shape", "Add", "Gather", "Add", "Equal"]);
    expect(toNumbers(folded.graph.initializers.get("channels")!)).toEqual([3]);
  });

  test("does not blow up small constants into large ones", () => {
    const model = modelOf({
      inputs: { x: [1] },
      outputs: ["y"],
      initializers: { shape: int64s([64, 64]) },
      nodes: [node("ConstantOfShape", ["shape"], ["large"]), node("Add", ["large", "x"], ["y"])],
    });
    expect(opsOf(foldConstants(model))).toEqual(["ConstantOfShape", "Add"]);
  });

  test("writes out a weight that a node fills, so that it can be trained", () => {
    const model = modelOf({
      inputs: { x: [1, 64] },
      outputs: ["y"],
      initializers: { shape: int64s([64, 64]) },
      nodes: [
        node("ConstantOfShape", ["shape"], ["w"], { value: attr.tensor(tensorOf("float32", [1], [0.5])) }),
        node("MatMul", ["x", "w"], ["y"]),
      ],
    });
    const folded = foldConstants(model);
    expect(parametersOf(folded).map(({ name }) => name)).toEqual(["w"]);
    expect(folded.graph.initializers.get("w")).toEqual(tensorOf("float32", [64, 64], Array(4096).fill(0.5)));
  });

  test("weights that an exporter merged by Identity become parameters of their own, over the same data", () => {
    const bias = tensorOf("float32", [2], [1, 2]);
    const model = modelOf({
      inputs: { x: [2] },
      outputs: ["y"],
      initializers: { b: bias },
      nodes: [node("Identity", ["b"], ["b2"]), node("Add", ["x", "b"], ["h"]), node("Add", ["h", "b2"], ["y"])],
    });
    const { graph } = foldConstants(model);
    expect([...graph.initializers]).toEqual([
      ["b", bias],
      ["b2", bias],
    ]);
    expect(graph.initializers.get("b2")).toBe(bias);
  });

  test("a weight that is read in several places stays one weight, however small", () => {
    const model = modelOf({
      inputs: { x: [2, 2, 2] },
      outputs: ["y"],
      initializers: { table: tensorOf("float32", [3], [1, 2, 3]), places: tensorOf("int64", [2, 2], [0, 1, 1, 2]) },
      nodes: [node("Gather", ["table", "places"], ["bias"]), node("Add", ["x", "bias"], ["y"])],
    });
    expect(parametersOf(foldConstants(model)).map(({ name }) => name)).toEqual(["table"]);
  });

  test("replaces a large weight that only one node rearranges, and does not copy one that others read", () => {
    const weight = tensorOf(
      "float32",
      [64, 64],
      Array.from({ length: 4096 }, (_, i) => i),
    );
    const transposed = (outputs: string[]): Model =>
      modelOf({
        inputs: { x: [64, 64] },
        outputs,
        initializers: { w: weight },
        nodes: [
          node("Transpose", ["w"], ["t"]),
          node("MatMul", ["x", "t"], ["y"]),
          ...(outputs.includes("z") ? [node("MatMul", ["x", "w"], ["z"])] : []),
        ],
      });
    const alone = foldConstants(transposed(["y"]));
    expect([opsOf(alone), elementsOf(alone)]).toEqual([["MatMul"], 4096]);
    const shared = foldConstants(transposed(["y", "z"]));
    expect([opsOf(shared), elementsOf(shared)]).toEqual([["Transpose", "MatMul", "MatMul"], 4096]);
  });

  test("a tensor in a Constant becomes an initializer, a decimal stays where it is written", () => {
    const model = modelOf({
      inputs: { x: [2] },
      outputs: ["y", "z"],
      nodes: [
        node("Constant", [], ["w"], { value: attr.tensor(tensorOf("float32", [2], [1, 2])) }),
        node("Constant", [], ["epsilon"], { value_float: attr.float(0.1) }),
        node("Mul", ["x", "w"], ["y"]),
        node("Add", ["x", "epsilon"], ["z"]),
      ],
    });
    const folded = foldConstants(model);
    expect(opsOf(folded)).toEqual(["Constant", "Mul", "Add"]);
    expect([...folded.graph.initializers.keys()]).toEqual(["w"]);
  });

  test("an initializer that may be fed, an output and a random op are not folded", () => {
    const model = modelOf({
      inputs: { a: [2] },
      outputs: ["y", "z", "dropped"],
      initializers: {
        a: tensorOf("float32", [2], [1, 2]),
        b: tensorOf("float32", [2], [1, 2]),
        half: scalar("float32", 0.5),
        on: tensorOf("bool", [], [1]),
      },
      nodes: [
        node("Neg", ["a"], ["n"]),
        node("Abs", ["n"], ["y"]),
        node("Neg", ["b"], ["z"]),
        node("Dropout", ["b", "half", "on"], ["d"]),
        node("Neg", ["d"], ["dropped"]),
      ],
    });
    expect(opsOf(foldConstants(model))).toEqual(opsOf(model));
  });

  test('"to the end" survives folding', () => {
    const model = modelOf({
      inputs: { x: [9] },
      outputs: ["y"],
      initializers: {
        start: int64s([2]),
        end: { dtype: "int64", dims: [1, 1], data: BigInt64Array.of(2n ** 63n - 1n) },
        axis: int64s([0]),
      },
      nodes: [node("Squeeze", ["end", "axis"], ["last"]), node("Slice", ["x", "start", "last"], ["y"])],
    });
    expect(foldConstants(model).graph.initializers.get("last")?.data).toEqual(BigInt64Array.of(2n ** 63n - 1n));
  });
});

test("sweepDead removes what no output needs, and keeps inputs", () => {
  const model = modelOf({
    inputs: { x: [2], unused: [3] },
    outputs: ["y"],
    initializers: { a: tensorOf("float32", [2], [1, 2]), b: tensorOf("float32", [2], [1, 2]) },
    nodes: [node("Add", ["x", "b"], ["dead"]), node("Exp", ["dead"], ["deader"]), node("Add", ["x", "a"], ["y"])],
  });
  const swept = sweepDead(model);
  expect(opsOf(swept)).toEqual(["Add"]);
  expect([...swept.graph.initializers.keys()]).toEqual(["a"]);
  expect(swept.graph.inputs).toHaveLength(2);
  expect(sweepDead(swept)).toEqual(swept);
});
