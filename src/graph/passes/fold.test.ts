import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { int64s, scalar, sizeOf, tensorOf, toNumbers } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { foldConstants } from "./fold.js";
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

  test("does not blow up small constants into large ones", () => {
    const model = modelOf({
      inputs: { x: [1] },
      outputs: ["y"],
      initializers: { shape: int64s([64, 64]) },
      nodes: [node("ConstantOfShape", ["shape"], ["large"]), node("Add", ["large", "x"], ["y"])],
    });
    expect(opsOf(foldConstants(model))).toEqual(["ConstantOfShape", "Add"]);
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
