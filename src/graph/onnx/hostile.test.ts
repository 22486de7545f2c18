import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AttributeKind,
  DataType,
  type GraphInit,
  type NodeInit,
  onnxBytes,
  type TensorInit,
  valueProto,
} from "../../../test/helpers/proto.js";
import { isLimberError, type LimberError, tensorOf } from "../../base/index.js";
import { attr } from "../ir/index.js";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { readModel, type ReadOptions, writeModel } from "./index.js";

const errorOf = (bytes: Uint8Array, options?: ReadOptions): LimberError => {
  try {
    readModel(bytes, options);
  } catch (error) {
    if (isLimberError(error)) return error;
    throw error;
  }
  throw new Error("the model was read");
};
const codeOf = (graph: GraphInit, options?: ReadOptions): string => errorOf(onnxBytes(graph), options).code;

/** A model of the smallest size that has every part a reader decodes. */
const sample = writeModel(
  modelOf({
    inputs: { x: ["n", 3] },
    outputs: { y: ["n", 2] },
    initializers: {
      w: tensorOf("float32", [3, 2], [1, 2, 3, 4, 5, 6]),
      shape: tensorOf("int64", [2], [-1, 2]),
    },
    nodes: [
      node("MatMul", ["x", "w"], ["product"]),
      node("Other", ["product", "", "shape"], ["y"], {
        axes: attr.ints([0, 1]),
        alpha: attr.float(0.5),
        mode: attr.string("constant"),
        body: attr.graph(modelOf({ outputs: ["z"], nodes: [node("Relu", ["product"], ["z"])] }).graph),
      }),
    ],
  }),
);

/** Reads damaged bytes: a model or a typed error, nothing else. */
function survive(bytes: Uint8Array): "read" | "refused" {
  try {
    writeModel(readModel(bytes));
    return "read";
  } catch (error) {
    if (!isLimberError(error)) throw error;
    return "refused";
  }
}

describe("damaged files", () => {
  test("a file cut anywhere is read or refused with a typed error", () => {
    const results = Array.from(sample, (_, length) => survive(sample.subarray(0, length)));
    expect(results.slice(0, 16)).not.toContain("read");
    expect(results.filter((result) => result === "refused").length).toBeGreaterThan(sample.length * 0.9);
    expect(survive(sample)).toBe("read");
  });

  test("a cut through the weights is named malformed", () => {
    expect(errorOf(sample.subarray(0, sample.length >> 1))).toMatchObject({ code: "model.malformed" });
  });

  test("flipped bytes never lead to any other error", () => {
    const flips = fc.array(fc.tuple(fc.nat(sample.length - 1), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(flips, (changes) => {
        const bytes = sample.slice();
        for (const [at, mask] of changes) bytes[at]! ^= mask;
        survive(bytes);
      }),
      { seed: 11, numRuns: 1500 },
    );
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["text", new TextEncoder().encode("<html>not found</html>")],
    ["zeros", new Uint8Array(100)],
    ["a picture", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
  ])("%s is malformed", (_, bytes) => {
    expect(errorOf(bytes).code).toBe("model.malformed");
  });
});

describe("limits", () => {
  const claim = (tensor: TensorInit): GraphInit => ({
    initializer: [{ name: "w", dataType: DataType.FLOAT, ...tensor }],
  });

  test("a claim of 3 GiB without data is refused before memory is taken", () => {
    const error = errorOf(onnxBytes(claim({ dims: [3n * 2n ** 28n] })));
    expect(error).toMatchObject({ code: "limit.exceeded", context: { limit: "tensorBytes", value: 3 * 2 ** 30 } });
  });

  test("dims whose product overflows are refused", () => {
    expect(codeOf(claim({ dims: Array.from({ length: 8 }, () => 2n ** 62n) }))).toBe("limit.exceeded");
  });

  test("many claims below the limit take no memory either", () => {
    const before = process.memoryUsage().arrayBuffers;
    expect(codeOf(claim({ dims: [2n ** 28n] }))).toBe("model.malformed");
    expect(codeOf(claim({ dims: [2n ** 28n], rawData: new Uint8Array(4) }))).toBe("model.malformed");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 28);
  });

  test("rank, nodes, nesting and file size have limits that name themselves", () => {
    const limitOf = (graph: GraphInit, limits: ReadOptions["limits"] = {}): unknown =>
      errorOf(onnxBytes(graph), { limits }).context.limit;
    const nested = (depth: number): NodeInit => ({
      opType: "If",
      output: [`y${depth}`],
      attribute:
        depth === 0 ? [] : [{ name: "body", type: AttributeKind.GRAPH, g: { node: [nested(depth - 1)] } as GraphInit }],
    });
    expect(limitOf(claim({ dims: Array.from({ length: 17 }, () => 1n) }))).toBe("rank");
    expect(limitOf({ node: [nested(9)] })).toBe("nesting");
    expect(limitOf({ node: [nested(3)] }, { nodes: 3 })).toBe("nodes");
    expect(limitOf({}, { fileBytes: 10 })).toBe("fileBytes");
  });

  test("nesting beyond what protobuf allows is refused too", () => {
    let graph = new Uint8Array();
    for (let i = 0; i < 300; i++) graph = fieldOf(1, fieldOf(5, fieldOf(6, graph)));
    const bytes = new Uint8Array([8, 8, ...fieldOf(7, graph)]);
    expect(errorOf(bytes).code).toBe("model.malformed");
  });
});

/** A length-delimited field of protobuf. */
const fieldOf = (field: number, body: Uint8Array): Uint8Array<ArrayBuffer> =>
  new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(body).finish();

describe("graphs that break a rule", () => {
  const relu = (name: string, input: string, output: string) => ({
    opType: "Relu",
    name,
    input: [input],
    output: [output],
  });

  test("a circle is named with a node of it", () => {
    const error = errorOf(onnxBytes({ node: [relu("a", "c", "b"), relu("b", "b", "c"), relu("c", "c", "y")] }));
    expect(error.code).toBe("graph.cyclic");
    expect(["a", "b"]).toContain(error.context.node);
    expect(codeOf({ node: [relu("self", "y", "y")] })).toBe("graph.cyclic");
  });

  test("nodes in any order are put in order", () => {
    const model = readModel(onnxBytes({ node: [relu("b", "m", "y"), relu("a", "x", "m")] }));
    expect(model.graph.nodes.map(({ name }) => name)).toEqual(["a", "b"]);
  });

  test.each([
    ["two nodes", { node: [relu("a", "x", "y"), relu("b", "x", "y")] }],
    ["two inputs", { input: [valueProto("x"), valueProto("x")] }],
    ["a node and an input", { node: [relu("a", "x", "x"), relu("b", "x", "y")] }, "graph.cyclic"],
    [
      "two initializers",
      { initializer: [1, 2].map((i) => ({ name: "w", dims: [1n], dataType: DataType.FLOAT, floatData: [i] })) },
    ],
    [
      "two attributes of one node",
      {
        node: [
          { ...relu("a", "x", "y"), attribute: [1, 2].map((f) => ({ name: "alpha", type: AttributeKind.FLOAT, f })) },
        ],
      },
    ],
  ] satisfies [string, GraphInit, string?][])("one name for %s is refused", (_, graph, code = "graph.invalid") => {
    expect(codeOf(graph)).toBe(code);
  });

  test("a value that nothing defines is named", () => {
    const error = errorOf(onnxBytes({ node: [relu("a", "ghost", "y")] }));
    expect(error.code).toBe("graph.invalid");
    expect(error.message).toContain('got "ghost"');
    expect(errorOf(onnxBytes({ output: [valueProto("nowhere")] })).message).toContain('output "nowhere"');
  });

  test("a nested graph sees outer values that stand before it, and no others", () => {
    const body = (input: string): GraphInit => ({ node: [relu("inner", input, "z")], output: [valueProto("z")] });
    const branch = (input: string): NodeInit => ({
      opType: "If",
      input: ["x"],
      output: ["y"],
      attribute: [{ name: "then_branch", type: AttributeKind.GRAPH, g: body(input) }],
    });
    expect(readModel(onnxBytes({ node: [branch("x")] })).graph.nodes).toHaveLength(1);
    expect(codeOf({ node: [branch("ghost")] })).toBe("graph.invalid");
  });

  test.each([
    ["negative dims", { dims: [-2n], floatData: [] }],
    ["too few raw bytes", { dims: [2n], rawData: new Uint8Array(7) }],
    ["too many raw bytes", { dims: [2n], rawData: new Uint8Array(9) }],
    ["too few floats", { dims: [2n], floatData: [1] }],
    ["floats in the field of another type", { dims: [2n], int32Data: [1, 2] }],
  ])("a weight with %s is malformed", (_, tensor) => {
    const error = errorOf(onnxBytes({ initializer: [{ name: "w", dataType: DataType.FLOAT, ...tensor }] }));
    expect(error).toMatchObject({ code: "model.malformed", context: { subject: 'initializer "w"' } });
  });

  test.each([
    ["an initializer", { initializer: [{ name: "w", dims: [1n], dataType: 17, rawData: new Uint8Array(1) }] }],
    ["an input", { input: [valueProto("x", [2], 17)] }],
  ])("%s of an element type that Limber does not know is named", (_, graph) => {
    const error = errorOf(onnxBytes(graph));
    expect(error).toMatchObject({ code: "op.unsupported", context: { dataType: "FLOAT8E4M3FN" } });
  });

  test("a negative size of a value is an unknown one", () => {
    expect(readModel(onnxBytes({ input: [valueProto("x", [-1, 3])] })).graph.inputs[0]!.dims).toEqual(["", 3]);
  });
});

describe("large graphs", () => {
  const length = 20_000;
  const chain = Array.from({ length }, (_, i) => ({
    opType: "Relu",
    name: String(i),
    input: [i === 0 ? "x" : `v${i - 1}`],
    output: [i === length - 1 ? "y" : `v${i}`],
  }));

  test.each([
    ["in order", chain],
    ["backwards", chain.toReversed()],
  ])("a chain of 20,000 nodes %s is read in order, without deep recursion", (_, node) => {
    const { nodes } = readModel(onnxBytes({ node })).graph;
    expect(nodes.map(({ name }) => Number(name))).toEqual(chain.map((_, i) => i));
  });

  test("one node that reads 20,000 others, standing first, costs no square", () => {
    const fan = Array.from({ length }, (_, i) => ({ opType: "Relu", input: ["x"], output: [`v${i}`] }));
    const sum = { opType: "Sum", input: fan.map(({ output }) => output[0]!), output: ["y"] };
    expect(readModel(onnxBytes({ node: [sum, ...fan] })).graph.nodes.at(-1)!.op).toBe("Sum");
  });

  test("20,000 nested graphs share one outer scope", () => {
    const nested = chain.map((node) => ({
      ...node,
      attribute: [
        { name: "body", type: AttributeKind.GRAPH, g: { node: [{ opType: "Neg", input: ["x"], output: ["z"] }] } },
      ],
    }));
    expect(readModel(onnxBytes({ node: nested })).graph.nodes).toHaveLength(length);
  });
});
