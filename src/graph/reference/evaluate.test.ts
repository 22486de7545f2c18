import { readFileSync } from "node:fs";
import { describe, expect, it, test } from "vitest";
import { runOrt } from "../../../test/helpers/ort.js";
import { LimberError, Random, scalar, tensorOf, toNumbers } from "../../base/index.js";
import { attr, type Graph, type Node, type TensorType } from "../ir/index.js";
import { readModel } from "../onnx/index.js";
import { evaluate, evaluateNode, fromReference, toReference } from "./index.js";

const node = (op: string, inputs: string[], outputs: string[], attributes: Node["attributes"] = {}): Node => ({
  op,
  domain: "",
  name: `the ${op}`,
  inputs,
  outputs,
  attributes,
});

/** y = x · w, z = −y. */
const graph: Graph = {
  name: "two steps",
  inputs: [{ name: "x", dtype: "float32", dims: [2] }],
  outputs: [{ name: "z", dtype: "float32", dims: [2] }],
  nodes: [node("Mul", ["x", "w"], ["y"]), node("Neg", ["y"], ["z"])],
  initializers: new Map([["w", tensorOf("float32", [2], [0.1, 3])]]),
  types: new Map(),
};
const x = tensorOf("float32", [2], [1, 2]);

function errorOf(action: () => unknown): LimberError {
  try {
    action();
  } catch (error) {
    if (error instanceof LimberError) return error;
  }
  return expect.fail("expected a LimberError");
}

describe("evaluate", () => {
  it("computes in double precision from float32 weights", () => {
    expect(evaluate(graph, { x }).get("z")!.data).toEqual(Float64Array.of(-Math.fround(0.1), -6));
  });

  it("takes doubles that no float32 holds", () => {
    const exact = { dtype: "float32", dims: [2], data: Float64Array.of(0.1, 0.2) } as const;
    expect(evaluate(graph, { x: exact, w: exact }).get("z")!.data).toEqual(Float64Array.of(-(0.1 * 0.1), -(0.2 * 0.2)));
  });

  it("returns inner values, inputs and initializers by name", () => {
    const values = evaluate(graph, new Map([["x", x]]), { outputs: ["y", "x", "w"] });
    expect([...values.keys()]).toEqual(["y", "x", "w"]);
    expect(values.get("y")!.data[1]).toBe(6);
  });

  it("starts from a fed inner value and runs only what is needed", () => {
    const broken = { ...graph, nodes: [node("NoSuchOp", ["x"], ["y"]), graph.nodes[1]!] };
    expect(evaluate(broken, { y: x }).get("z")!.data).toEqual(Float64Array.of(-1, -2));
  });

  it("names the node and the value that nobody defines", () => {
    const error = errorOf(() => evaluate(graph, {}));
    expect(error.code).toBe("graph.invalid");
    expect(error.message).toBe('Mul "the Mul": a value for "x", got none; feed it');
  });

  it("names an operator that is not in the catalog, also for one unknown attribute", () => {
    const unknown = errorOf(() => evaluateNode(node("NoSuchOp", [], []), []));
    expect(unknown).toMatchObject({ code: "op.unsupported", context: { op: "NoSuchOp", node: "the NoSuchOp" } });
    const strange = errorOf(() => evaluateNode(node("Relu", ["x"], ["y"], { slope: attr.float(1) }), [toReference(x)]));
    expect(strange.message).toContain("[slope]");
  });

  it("names the node in errors of kernels", () => {
    const error = errorOf(() => evaluate(graph, { x: tensorOf("float32", [3], [1, 2, 3]) }));
    expect(error).toMatchObject({ code: "shape.mismatch", context: { node: "the Mul" } });
    expect(errorOf(() => evaluateNode(node("Gather", ["a"], ["b"]), [toReference(x)])).message).toContain(
      "an input indices, got none",
    );
  });

  it("holds shape inference to its word", () => {
    const promise = (dims: TensorType["dims"]): Graph => ({
      ...graph,
      types: new Map([["y", { dtype: "float32", dims }]]),
    });
    expect(errorOf(() => evaluate(promise([3]), { x })).code).toBe("shape.mismatch");
    expect(errorOf(() => evaluate(promise([2, 1]), { x })).code).toBe("shape.mismatch");
    expect(evaluate(promise(["n"]), { x }).size).toBe(1);
  });

  it("stops when asked", () => {
    expect(errorOf(() => evaluate(graph, { x }, { signal: { aborted: true } })).code).toBe("aborted");
  });

  test.each(["resnet20", "vgg11_bn", "mobilenetv2"])("%s: whole networks agree with ONNX Runtime", async (name) => {
    const model = readModel(readFileSync(new URL(`../../../test/fixtures/training/${name}.onnx`, import.meta.url)));
    const [input] = model.graph.inputs;
    const dims = [2, ...input!.dims!.slice(1).map(Number)];
    const random = new Random(3);
    const images = tensorOf(
      "float32",
      dims,
      Float64Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.normal()),
    );
    const feeds = new Map([[input!.name, images]]);
    const [ours, theirs] = [evaluate(model, feeds), await runOrt(model, feeds)];
    for (const [output, expected] of theirs) {
      const values = toNumbers(expected);
      const scale = Math.max(...values.map(Math.abs));
      values.forEach((value, i) => expect(Math.abs(ours.get(output)!.data[i]! - value)).toBeLessThan(1e-5 * scale));
    }
  });
});

describe("kernels keep what a round trip through float32 would lose", () => {
  it("keeps the double of value_float", () => {
    expect(evaluateNode(node("Constant", [], ["c"], { value_float: attr.float(0.1) }), [])[0]!.data[0]).toBe(0.1);
  });

  it("divides and casts whole numbers toward zero", () => {
    const ints = (...values: number[]) => toReference(tensorOf("int64", [values.length], values));
    expect(evaluateNode(node("Div", ["a", "b"], ["c"]), [ints(-7, 7), ints(2, -2)])[0]!.data).toEqual(
      Float64Array.of(-3, -3),
    );
    const cast = evaluateNode(node("Cast", ["a"], ["b"], { to: attr.int(7) }), [
      toReference(tensorOf("float32", [2], [-1.9, 1.9])),
    ]);
    expect(cast[0]).toEqual({ dtype: "int64", dims: [2], data: Float64Array.of(-1, 1) });
  });

  it("has an error function exact to double precision", () => {
    // erf(0.5), erf(1), erf(3) from Abramowitz & Stegun, table 7.1, and the NIST library.
    const points = { dtype: "float64", dims: [4], data: Float64Array.of(0.5, 1, -3, 9) } as const;
    const values = evaluateNode(node("Erf", ["x"], ["y"]), [points])[0]!.data;
    [0.5204998778130465, 0.8427007929497149, -0.9999779095030014, 1].forEach((value, i) =>
      expect(values[i]).toBeCloseTo(value, 14),
    );
  });
});

describe("fromReference", () => {
  it("rounds to the element type and clamps the 64-bit limits", () => {
    const rounded = fromReference({ dtype: "float32", dims: [1], data: Float64Array.of(0.1) });
    expect(rounded).toEqual(tensorOf("float32", [1], [0.1]));
    const limits = fromReference({ dtype: "int64", dims: [2], data: Float64Array.of(2 ** 63, -(2 ** 63)) });
    expect(limits.data).toEqual(BigInt64Array.of(2n ** 63n - 1n, -(2n ** 63n)));
    expect(fromReference(toReference(scalar("bool", 1)))).toEqual(scalar("bool", 1));
  });

  it("refuses 16-bit floats", () => {
    expect(errorOf(() => fromReference({ dtype: "float16", dims: [], data: Float64Array.of(1) })).code).toBe(
      "op.unsupported",
    );
  });
});
