import { describe, expect, it } from "vitest";
import { type DType, int64s, isLimberError, scalar, type Tensor, tensorOf, toNumbers } from "../../base/index.js";
import { attr, type Attributes, type Graph, type TensorType } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";
import { evaluate, fromReference } from "../reference/index.js";
import { backward } from "./backward.js";

const OPSET = 17;

/** A graph written by `write`, whose last value is summed to the loss, and its gradients. */
class Setup {
  readonly emit = new Emitter(OPSET);
  private readonly inputs = new Map<string, Tensor>();
  private readonly constants = new Map<string, Tensor>();

  input(
    name: string,
    values: readonly number[],
    dims: readonly number[] = [values.length],
    dtype: DType = "float32",
  ): Val {
    const value = tensorOf(dtype, dims, values);
    this.inputs.set(this.emit.freshName(name), value);
    return this.emit.value(name, value);
  }

  constant(name: string, value: Tensor): Val {
    this.constants.set(this.emit.freshName(name), value);
    return this.emit.value(name, value, value);
  }

  op(name: string, inputs: readonly Val[], attributes: Attributes = {}): Val {
    return this.emit.node(name, inputs, attributes)[0];
  }

  differentiate(loss: Val, wrt: readonly string[]): { gradients: ReadonlyMap<string, Val>; graph: Graph } {
    const base: Graph = {
      name: "test",
      inputs: [...this.inputs].map(([name, { dtype, dims }]) => ({ name, dtype, dims })),
      outputs: [],
      nodes: [],
      initializers: this.constants,
      types: new Map<string, TensorType>(),
    };
    const gradients = backward(this.emit.appendTo(base), { loss: loss.name, wrt, emit: this.emit });
    return { gradients, graph: this.emit.appendTo(base, [...gradients.values()]) };
  }

  gradientsOf(loss: Val, ...wrt: string[]): Record<string, number[] | undefined> {
    const { gradients, graph } = this.differentiate(loss, wrt);
    const values = evaluate(graph, this.inputs, { opset: OPSET });
    return Object.fromEntries(
      wrt.map((name) => {
        const found = gradients.get(name);
        return [name, found && toNumbers(fromReference(values.get(found.name)!))];
      }),
    );
  }
}

describe("backward", () => {
  it("adds up the contributions of every reader, also when one node reads a value twice", () => {
    const g = new Setup();
    const x = g.input("x", [3]);
    const square = g.emit.mul(x, x);
    const loss = g.emit.sumAll(g.op("Sum", [square, x, g.emit.mul(square, x)]));
    expect(g.gradientsOf(loss, "x")).toEqual({ x: [2 * 3 + 1 + 3 * 9] });
  });

  it("sums a gradient over the axes along which its value was broadcast", () => {
    const g = new Setup();
    const [a, b] = [g.input("a", [1, 2, 3, 4, 5, 6], [2, 3]), g.input("b", [10, 20], [2, 1])];
    expect(g.gradientsOf(g.emit.sumAll(g.emit.mul(a, b)), "a", "b")).toEqual({
      a: [10, 10, 10, 20, 20, 20],
      b: [6, 15],
    });
  });

  it("differentiates by inner values and gives 1 for the loss itself", () => {
    const g = new Setup();
    const inner = g.emit.mul(g.input("x", [2, 5]), 3);
    const loss = g.emit.sumAll(g.emit.mul(inner, inner));
    expect(g.gradientsOf(loss, inner.name, loss.name)).toEqual({ [inner.name]: [12, 30], [loss.name]: [1] });
  });

  it("has no entry for a value that does not reach the loss, and writes nothing for values that nobody asked for", () => {
    const g = new Setup();
    const [x, w, unused] = [g.input("x", [1, 2]), g.input("w", [3, 4]), g.input("unused", [5])];
    g.emit.neg(unused);
    const loss = g.emit.sumAll(g.emit.mul(x, w));
    const before = g.emit.nodes.length;
    const { gradients, graph } = g.differentiate(loss, ["w", "unused"]);
    expect([...gradients.keys()]).toEqual(["w"]);
    const products = graph.nodes.slice(before).filter((node) => node.op === "Mul");
    expect(products.map((node) => node.inputs.includes("x"))).toEqual([true]);
  });

  it("stops at whole numbers and at ops that read only a shape", () => {
    const g = new Setup();
    const x = g.input("x", [4, 9]);
    const size = g.emit.cast(g.op("Size", [x]), "float32");
    const rounded = g.emit.cast(g.emit.cast(x, "int64"), "float32");
    const loss = g.emit.sumAll(g.op("Sum", [x, rounded, size]));
    expect(g.gradientsOf(loss, "x")).toEqual({ x: [1, 1] });
  });

  it("ignores an op without a gradient beside the path, and names it and the trained value on the path", () => {
    const g = new Setup();
    const x = g.input("x", [1, 2]);
    const range = g.op("Range", [
      g.constant("start", scalar("float32", 0)),
      g.constant("limit", scalar("float32", 2)),
      g.constant("one", scalar("float32", 1)),
    ]);
    expect(g.gradientsOf(g.emit.sumAll(g.emit.mul(x, range)), "x")).toEqual({ x: [0, 1] });

    const h = new Setup();
    const w = h.input("w", [1, 2, 3, 4], [2, 2]);
    const loss = h.op("Einsum", [w], { equation: attr.string("ii->") });
    expect(() => h.differentiate(loss, ["w"])).toThrow(
      expect.toSatisfy(
        (e) => isLimberError(e, "gradient.missing") && e.context.op === "Einsum" && e.context.value === "w",
      ),
    );
  });

  it("names the form of an op that has no gradient", () => {
    const g = new Setup();
    const x = g.input("x", [1, 2, 3]);
    const ids = g.constant("ids", int64s([0, 1]));
    const scattered = g.op("ScatterElements", [x, ids, g.constant("updates", tensorOf("float32", [2], [2, 2]))], {
      reduction: attr.string("mul"),
    });
    expect(() => g.differentiate(g.emit.sumAll(scattered), ["x"])).toThrow(/reduction = mul/);
  });

  it("asks for a scalar loss and for static shapes", () => {
    const g = new Setup();
    const x = g.input("x", [1, 2]);
    expect(() => g.differentiate(x, ["x"])).toThrow(/a scalar, got \[2\]/);
    const emit = new Emitter(OPSET, ["y", "s", "loss"]);
    const graph: Graph = {
      name: "symbolic",
      inputs: [{ name: "y", dtype: "float32", dims: ["batch"] }],
      outputs: [{ name: "loss", dtype: "float32", dims: [] }],
      nodes: [
        {
          op: "ReduceSum",
          domain: "",
          name: "s",
          inputs: ["y"],
          outputs: ["loss"],
          attributes: { keepdims: attr.int(0) },
        },
      ],
      initializers: new Map(),
      types: new Map(),
    };
    expect(() => backward(graph, { loss: "loss", wrt: ["y"], emit })).toThrow(
      expect.toSatisfy((e) => isLimberError(e, "shape.unknown")),
    );
  });

  it("gives zeros for the parts of a split that the loss does not read", () => {
    const g = new Setup();
    const x = g.input("x", [1, 2, 3, 4]);
    const parts = g.emit.node("Split", [x, g.constant("sizes", int64s([1, 2, 1]))], {}, { outputs: 3 });
    expect(g.gradientsOf(g.emit.sumAll(g.emit.mul(parts[1]!, 7)), "x")).toEqual({ x: [0, 7, 7, 0] });
  });
});
