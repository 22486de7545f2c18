import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { type ModelProto, ModelProtoSchema } from "onnx-buf";
import { describe, expect, test } from "vitest";
import {
  AttributeKind,
  type AttributeInit,
  DataType,
  onnxBytes,
  type TensorInit,
  valueProto,
} from "../../../test/helpers/proto.js";
import { tensorOf } from "../../base/index.js";
import { type Attribute, type Model, parseModel, printModel } from "../ir/index.js";
import { readModel, writeModel } from "./index.js";

/** The model as read, and the protobuf of what is written again; the text form carries the same. */
function carry(bytes: Uint8Array): { model: Model; proto: ModelProto } {
  const model = readModel(bytes);
  expect(parseModel(printModel(model))).toEqual(model);
  const written = writeModel(model);
  expect(readModel(written)).toEqual(model);
  return { model, proto: fromBinary(ModelProtoSchema, written) };
}

const carryAttribute = (attribute: AttributeInit) => {
  const { model, proto } = carry(
    onnxBytes({ node: [{ opType: "Op", input: ["x"], output: ["y"], attribute: [{ name: "a", ...attribute }] }] }),
  );
  return { read: model.graph.nodes[0]!.attributes.a!, written: proto.graph!.node[0]!.attribute[0]! };
};
/** Adds a sparse matrix [2, 3] of the values 7 and 8 to x. */
const sparseGraph = (indices: TensorInit) => ({
  node: [{ opType: "Add", input: ["x", "w"], output: ["y"] }],
  sparseInitializer: [
    { values: { name: "w", dims: [2n], dataType: DataType.FLOAT, floatData: [7, 8] }, indices, dims: [2n, 3n] },
  ],
});
const carryTensor = (tensor: TensorInit) => {
  const { model, proto } = carry(onnxBytes({ initializer: [{ name: "w", ...tensor }] }));
  return { read: model.graph.initializers.get("w")!, written: proto.graph!.initializer[0]! };
};

describe("what Limber does not compute with is carried through", () => {
  test("unknown operators with all their attributes, and their domains", () => {
    const { model, proto } = carry(
      onnxBytes(
        {
          node: [
            {
              opType: "Mystery",
              domain: "my.ops",
              name: "m",
              input: ["x", ""],
              output: ["y"],
              docString: "why",
              metadataProps: [{ key: "k", value: "v" }],
              overload: "second",
              attribute: [{ name: "s", type: AttributeKind.STRINGS, strings: [Uint8Array.of(97)] }],
            },
          ],
        },
        {
          opsetImport: [
            { domain: "ai.onnx", version: 17n },
            { domain: "my.ops", version: 3n },
          ],
        },
      ),
    );
    expect([...model.opsets]).toEqual([
      ["", 17],
      ["my.ops", 3],
    ]);
    expect(proto.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
      ["", 17n],
      ["my.ops", 3n],
    ]);
    expect(proto.graph!.node[0]).toMatchObject({
      opType: "Mystery",
      domain: "my.ops",
      input: ["x", ""],
      docString: "why",
      metadataProps: [{ key: "k", value: "v" }],
      overload: "second",
      attribute: [{ name: "s", type: AttributeKind.STRINGS }],
    });
  });

  test("protobuf fields that are not in the schema", () => {
    const unknown = { no: 3000, wireType: WireType.Varint, data: Uint8Array.of(42) };
    const source = fromBinary(ModelProtoSchema, onnxBytes());
    source.$unknown = [unknown];
    source.graph!.$unknown = [unknown];
    source.graph!.node[0]!.$unknown = [unknown];
    const { proto } = carry(toBinary(ModelProtoSchema, source));
    for (const message of [proto, proto.graph!, proto.graph!.node[0]!])
      expect(message.$unknown).toMatchObject([{ no: 3000 }]);
  });

  test("sparse weights, quantization notes, functions and header fields", () => {
    const { model, proto } = carry(
      onnxBytes(
        {
          sparseInitializer: [
            {
              values: { name: "sparse", dims: [1n], dataType: DataType.FLOAT, floatData: [2] },
              indices: { dims: [1n], dataType: DataType.INT64, int64Data: [3n] },
              dims: [8n],
            },
          ],
          quantizationAnnotation: [{ tensorName: "x" }],
          docString: "a graph",
        },
        {
          functions: [{ name: "f", domain: "my.ops" }],
          domain: "org.example",
          modelVersion: 5n,
          docString: "a model",
          producerName: "p",
          producerVersion: "1",
          metadataProps: [{ key: "k", value: "v" }],
        },
      ),
    );
    expect(proto.graph!.sparseInitializer[0]).toMatchObject({ values: { name: "sparse", floatData: [2] }, dims: [8n] });
    expect(proto.graph!.quantizationAnnotation[0]!.tensorName).toBe("x");
    expect(proto.functions[0]!.name).toBe("f");
    expect(proto).toMatchObject({ domain: "org.example", modelVersion: 5n, docString: "a model" });
    expect(model).toMatchObject({ domain: "org.example", modelVersion: 5, graph: { docString: "a graph" } });
  });

  test("whole numbers that no double holds stay as they are; the largest means the end", () => {
    const odd = 2n ** 53n + 1n;
    const int = carryAttribute({ type: AttributeKind.INT, i: odd });
    expect([int.read.kind, int.written.i]).toEqual(["opaque", odd]);
    const ints = carryAttribute({ type: AttributeKind.INTS, ints: [1n, odd] });
    expect([ints.read.kind, ints.written.ints]).toEqual(["opaque", [1n, odd]]);
    const end = carryAttribute({ type: AttributeKind.INT, i: 2n ** 63n - 1n });
    expect([end.read, end.written.i]).toEqual([{ kind: "int", value: 2 ** 63 }, 2n ** 63n - 1n]);
  });

  test.each([
    ["counted through the tensor", [2n], [1n, 5n]],
    ["by axis", [2n, 2n], [0n, 1n, 1n, 2n]],
  ])("sparse weights that a node reads become dense, indices %s", (_, dims, int64Data) => {
    const { model } = carry(onnxBytes(sparseGraph({ dims, dataType: DataType.INT64, int64Data })));
    expect(model.graph.initializers.get("w")).toEqual(tensorOf("float32", [2, 3], [0, 7, 0, 0, 0, 8]));
  });

  test("sparse weights with indices outside of the tensor are damage", () => {
    const bytes = onnxBytes(sparseGraph({ dims: [2n], dataType: DataType.INT64, int64Data: [1n, 6n] }));
    expect(() => readModel(bytes)).toThrow(expect.objectContaining({ code: "model.malformed" }));
  });

  test("symbolic, unknown and missing shapes", () => {
    const dim = [{ value: { case: "dimParam" as const, value: "batch" } }, { value: { case: undefined } }];
    const typed = (shape?: object) => ({
      value: { case: "tensorType" as const, value: { elemType: DataType.FLOAT, ...shape } },
    });
    const input = [
      { name: "x", type: typed({ shape: { dim } }) },
      { name: "rankless", type: typed() },
    ];
    const { model } = carry(onnxBytes({ input, valueInfo: [valueProto("inner", [1, 2])] }));
    expect(model.graph.inputs.map(({ dims }) => dims)).toEqual([["batch", ""], undefined]);
    expect(model.graph.types.get("inner")).toEqual({ dtype: "float32", dims: [1, 2] });
  });
});

describe("attributes", () => {
  test.each([
    ["the largest int64", 2n ** 63n - 1n],
    ["the smallest int64", -(2n ** 63n)],
    ["a negative one", -1n],
  ])("%s is written as read", (_, i) => {
    expect(carryAttribute({ type: AttributeKind.INT, i }).written.i).toBe(i);
    expect(carryAttribute({ type: AttributeKind.INTS, ints: [i, 1n] }).written.ints).toEqual([i, 1n]);
  });

  test.each([-0, NaN, Infinity, -Infinity, Math.fround(1e-45), Math.fround(0.1), 3.4028234663852886e38])(
    "float %d is written as read",
    (f) => {
      expect(carryAttribute({ type: AttributeKind.FLOAT, f }).written.f).toBe(f);
    },
  );

  test.each([
    ["a mark of byte order", [0xef, 0xbb, 0xbf, 0x61]],
    ["no UTF-8", [0xff, 0x00, 0x80]],
    ["an umlaut", [0xc3, 0xbc]],
    ["nothing", []],
  ])("a string of %s keeps its bytes", (_, bytes) => {
    const s = Uint8Array.from(bytes);
    expect(carryAttribute({ type: AttributeKind.STRING, s }).written.s).toEqual(s);
    expect(carryAttribute({ type: AttributeKind.STRINGS, strings: [s, s] }).written.strings).toEqual([s, s]);
  });

  test("types and sparse tensors stay as they are", () => {
    const { read, written } = carryAttribute({
      type: AttributeKind.TYPE_PROTO,
      tp: { denotation: "d", value: { case: "tensorType", value: { elemType: DataType.FLOAT } } },
    });
    expect(read.kind).toBe("opaque");
    expect(written.tp!.denotation).toBe("d");
  });

  test.each<[Attribute, AttributeInit]>([
    [{ kind: "int", value: 3 }, { i: 3n }],
    [{ kind: "float", value: 0.5 }, { f: 0.5 }],
    [{ kind: "string", value: "a" }, { s: Uint8Array.of(97) }],
    [{ kind: "ints", value: [1] }, { ints: [1n] }],
    [{ kind: "floats", value: [0.5] }, { floats: [0.5] }],
  ])("without a kind, as old exporters write them, the filled field tells: %j", (expected, attribute) => {
    expect(carryAttribute(attribute).read).toEqual(expected);
  });
});

describe("weights", () => {
  const words = [0x3c00, 0xfe00, 0x8000];
  test.each([
    ["float16 as raw data", { dataType: DataType.FLOAT16, rawData: new Uint8Array(Uint16Array.from(words).buffer) }],
    ["float16 as a list", { dataType: DataType.FLOAT16, int32Data: words }],
    ["bfloat16 as a list", { dataType: DataType.BFLOAT16, int32Data: words }],
    ["uint16", { dataType: DataType.UINT16, int32Data: words }],
  ])("%s keeps its words", (_, tensor) => {
    const { read, written } = carryTensor({ dims: [3n], ...tensor });
    expect(read.data).toEqual(Uint16Array.from(words));
    expect(written.rawData).toEqual(new Uint8Array(Uint16Array.from(words).buffer));
  });

  test("strings keep their bytes, text or not", () => {
    const stringData = [Uint8Array.of(97), Uint8Array.of(0xff, 0), new Uint8Array()];
    const { read, written } = carryTensor({ dims: [3n], dataType: DataType.STRING, stringData });
    expect(read.data).toEqual(stringData);
    expect(written.stringData).toEqual(stringData);
  });

  test.each([
    ["int8", DataType.INT8, { int32Data: [-128, 127] }, Int8Array.of(-128, 127)],
    ["bool", DataType.BOOL, { int32Data: [0, 1] }, Uint8Array.of(0, 1)],
    ["uint32", DataType.UINT32, { uint64Data: [0n, 2n ** 32n - 1n] }, Uint32Array.of(0, 2 ** 32 - 1)],
    ["uint64", DataType.UINT64, { uint64Data: [0n, 2n ** 64n - 1n] }, BigUint64Array.of(0n, 2n ** 64n - 1n)],
    ["int64", DataType.INT64, { int64Data: [-(2n ** 63n), 1n] }, BigInt64Array.of(-(2n ** 63n), 1n)],
    ["float64", DataType.DOUBLE, { doubleData: [0.1, -0] }, Float64Array.of(0.1, -0)],
  ])("%s is read from the list that ONNX keeps it in", (_, dataType, lists, expected) => {
    expect(carryTensor({ dims: [2n], dataType, ...lists }).read.data).toEqual(expected);
  });

  test("scalars and tensors without elements", () => {
    expect(carryTensor({ dims: [], dataType: DataType.FLOAT, floatData: [2] }).read.data).toEqual(Float32Array.of(2));
    expect(carryTensor({ dims: [0n, 3n], dataType: DataType.FLOAT }).read).toMatchObject({ dims: [0, 3] });
  });
});

test("a model that Limber reads whole leaves nothing opaque", () => {
  const { graph, opaque } = readModel(onnxBytes({ docString: "" }, { producerName: "" }));
  expect([opaque, graph.opaque, graph.nodes[0]!.opaque]).toEqual([undefined, undefined, undefined]);
});

test("the same model gives the same bytes", () => {
  const bytes = writeModel(readModel(onnxBytes()));
  expect(writeModel(readModel(bytes))).toEqual(bytes);
});
