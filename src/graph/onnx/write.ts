import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import {
  type Attribute,
  DTYPE_CODES,
  encodeText,
  type Graph,
  type Model,
  type Node,
  type TensorType,
} from "../ir/index.js";
import { writeTensor } from "./tensor.js";

/** The largest int64: what exporters write for "to the end", and what no double can hold. */
const MAX_INT64 = 2n ** 63n - 1n;
const int64 = (value: number): bigint => (value >= 2 ** 63 ? MAX_INT64 : BigInt(value));

/** Writes the IR as ONNX bytes: one file, weights inside. The same model gives the same bytes. */
export function writeModel(model: Model): Uint8Array {
  const proto = model.opaque ? fromBinary(ModelProtoSchema, model.opaque) : create(ModelProtoSchema);
  return toBinary(
    ModelProtoSchema,
    Object.assign(
      proto,
      create(ModelProtoSchema, {
        irVersion: BigInt(model.irVersion),
        opsetImport: [...model.opsets].map(([domain, version]) => ({ domain, version: BigInt(version) })),
        producerName: model.producerName,
        producerVersion: model.producerVersion,
        domain: model.domain ?? "",
        modelVersion: BigInt(model.modelVersion ?? 0),
        docString: model.docString ?? "",
        metadataProps: entriesOf(model.metadata),
        graph: writeGraph(model.graph),
        trainingInfo: proto.trainingInfo,
        functions: proto.functions,
        configuration: proto.configuration,
      }),
    ),
  );
}

const entriesOf = (pairs: Iterable<[string, string]>): { key: string; value: string }[] =>
  [...pairs].map(([key, value]) => ({ key, value }));

function writeGraph(graph: Graph): GraphProto {
  const proto = graph.opaque ? fromBinary(GraphProtoSchema, graph.opaque) : create(GraphProtoSchema);
  const borders = new Set([...graph.inputs, ...graph.outputs].map((v) => v.name));
  return Object.assign(proto, {
    name: graph.name,
    docString: graph.docString ?? "",
    input: graph.inputs.map((v) => writeValue(v.name, v, v.docString)),
    output: graph.outputs.map((v) => writeValue(v.name, v, v.docString)),
    valueInfo: [...graph.types].filter(([name]) => !borders.has(name)).map(([name, type]) => writeValue(name, type)),
    initializer: [...graph.initializers].map(([name, tensor]) => writeTensor(name, tensor)),
    node: graph.nodes.map(writeNode),
  });
}

function writeValue(name: string, type: TensorType, docString = ""): ValueInfoProto {
  const dims = type.dims?.map((d) =>
    typeof d === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(d) } }
      : { value: d === "" ? { case: undefined } : { case: "dimParam" as const, value: d } },
  );
  const tensorType = { elemType: DTYPE_CODES[type.dtype], ...(dims && { shape: { dim: dims } }) };
  return create(ValueInfoProtoSchema, { name, docString, type: { value: { case: "tensorType", value: tensorType } } });
}

function writeNode(node: Node): NodeProto {
  const proto = node.opaque ? fromBinary(NodeProtoSchema, node.opaque) : create(NodeProtoSchema);
  return Object.assign(proto, {
    opType: node.op,
    domain: node.domain,
    name: node.name,
    input: [...node.inputs],
    output: [...node.outputs],
    docString: node.docString ?? "",
    metadataProps: create(NodeProtoSchema, { metadataProps: entriesOf(Object.entries(node.metadata ?? {})) })
      .metadataProps,
    attribute: Object.entries(node.attributes).map(([name, attribute]) => writeAttribute(name, attribute)),
  });
}

function writeAttribute(name: string, attribute: Attribute): AttributeProto {
  const base = { name };
  switch (attribute.kind) {
    case "int":
      return create(AttributeProtoSchema, { ...base, type: Kind.INT, i: int64(attribute.value) });
    case "float":
      return create(AttributeProtoSchema, { ...base, type: Kind.FLOAT, f: attribute.value });
    case "string":
      return create(AttributeProtoSchema, { ...base, type: Kind.STRING, s: encodeText(attribute.value) });
    case "ints":
      return create(AttributeProtoSchema, { ...base, type: Kind.INTS, ints: attribute.value.map(int64) });
    case "floats":
      return create(AttributeProtoSchema, { ...base, type: Kind.FLOATS, floats: [...attribute.value] });
    case "strings":
      return create(AttributeProtoSchema, { ...base, type: Kind.STRINGS, strings: attribute.value.map(encodeText) });
    case "tensor":
      return create(AttributeProtoSchema, { ...base, type: Kind.TENSOR, t: writeTensor("", attribute.value) });
    case "graph":
      return create(AttributeProtoSchema, { ...base, type: Kind.GRAPH, g: writeGraph(attribute.value) });
    case "opaque":
      return fromBinary(AttributeProtoSchema, attribute.value);
    default:
      return attribute satisfies never;
  }
}
