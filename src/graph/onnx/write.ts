import { create, fromBinary, isFieldSet, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type AttributeProto,
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type StringStringEntryProto,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import type { Tensor } from "../../base/index.js";
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

/**
 * Writes the IR as ONNX bytes: one file, weights inside. The same model gives the same bytes.
 * Cost: the weights are copied once, into the result.
 */
export function writeModel(model: Model): Uint8Array {
  const head = create(ModelProtoSchema, {
    irVersion: BigInt(model.irVersion),
    producerName: model.producerName,
    producerVersion: model.producerVersion,
    domain: model.domain ?? "",
    modelVersion: BigInt(model.modelVersion ?? 0),
    docString: model.docString ?? "",
  });
  const tail = Object.assign(model.opaque ? fromBinary(ModelProtoSchema, model.opaque) : create(ModelProtoSchema), {
    opsetImport: [...model.opsets].map(([domain, version]) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
    ),
    metadataProps: writeEntries(model.metadata),
  });
  return join([
    toBinary(ModelProtoSchema, head),
    ...field(ModelProtoSchema.field.graph.number, graphPieces(model.graph)),
    toBinary(ModelProtoSchema, tail),
  ]);
}

/** A message in the order of its fields, as pieces of which the large ones are views. */
type Pieces = readonly Uint8Array[];

/** Nodes and name, initializers, and the rest: the order of their numbers. */
function graphPieces({ initializers, ...rest }: Graph): Pieces {
  const { node, name, ...tail } = writeGraph({ ...rest, initializers: new Map() });
  return [
    toBinary(GraphProtoSchema, create(GraphProtoSchema, { node, name })),
    ...[...initializers].flatMap(([name, tensor]) =>
      field(GraphProtoSchema.field.initializer.number, tensorPieces(name, tensor)),
    ),
    toBinary(GraphProtoSchema, Object.assign(create(GraphProtoSchema), tail)),
  ];
}

function tensorPieces(name: string, tensor: Tensor): Pieces {
  const proto = writeTensor(name, tensor);
  const { rawData, ...rest } = proto;
  const head = toBinary(TensorProtoSchema, Object.assign(create(TensorProtoSchema), rest));
  const raw = TensorProtoSchema.field.rawData;
  return isFieldSet(proto, raw) ? [head, ...field(raw.number, [rawData])] : [head];
}

/** What precedes a field of known length, and its pieces. */
function field(number: number, pieces: Pieces): Pieces {
  const prefix = new BinaryWriter().tag(number, WireType.LengthDelimited).uint32(lengthOf(pieces)).finish();
  return [prefix, ...pieces];
}

const lengthOf = (pieces: Pieces): number => pieces.reduce((sum, { length }) => sum + length, 0);

function join(pieces: Pieces): Uint8Array {
  const bytes = new Uint8Array(lengthOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

const writeEntries = (pairs: Iterable<[string, string]>): StringStringEntryProto[] =>
  [...pairs].map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));

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
    metadataProps: writeEntries(Object.entries(node.metadata ?? {})),
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
