import { clearField, clone, create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import {
  type AttributeProto,
  AttributeProto_AttributeType as Kind,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type SparseTensorProto,
  type StringStringEntryProto,
  type ValueInfoProto,
} from "onnx-buf";
import { LimberError } from "../../base/index.js";
import {
  type Attribute,
  checkGraph,
  type Dim,
  findText,
  type Graph,
  type Model,
  type Node,
  shortestFloat,
  sortTopologically,
  STANDARD_DOMAIN,
  type TensorType,
  type ValueInfo,
} from "../ir/index.js";
import { checkLimit, DEFAULT_LIMITS, type ReadLimits } from "./limits.js";
import { type ExternalData, readDType, readSparseTensor, readTensor, type TensorReader } from "./tensor.js";

export interface ReadOptions {
  readonly limits?: Partial<ReadLimits>;
  /** Where to find weights outside of the file; refused when absent. */
  readonly externalData?: ExternalData;
}

const MODEL_FIELDS = [
  "graph",
  "irVersion",
  "opsetImport",
  "producerName",
  "producerVersion",
  "metadataProps",
  "domain",
  "modelVersion",
  "docString",
] as const;
const GRAPH_FIELDS = ["name", "node", "initializer", "input", "output", "valueInfo", "docString"] as const;
const NODE_FIELDS = ["input", "output", "name", "opType", "domain", "attribute", "docString", "metadataProps"] as const;

/**
 * Reads ONNX bytes into the IR: checked, in topological order, with everything kept that Limber does not read.
 *
 * Throws: `model.malformed`, `limit.exceeded`, `model.external-data`, `graph.cyclic`, `graph.invalid`, `op.unsupported`.
 * Source: https://github.com/onnx/onnx/blob/main/docs/IR.md.
 */
export function readModel(bytes: Uint8Array, options: ReadOptions = {}): Model {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  checkLimit("model file", "fileBytes", limits, bytes.byteLength);
  const proto = decode(bytes);
  if (!proto.graph || proto.irVersion === 0n) {
    throw new LimberError(
      "model.malformed",
      "model file: an ONNX model with a graph, got none; is this an .onnx file?",
    );
  }
  const graph = new Reader(limits, options.externalData).graph(proto.graph, 0);
  checkGraph(graph);
  return {
    graph,
    opsets: new Map(proto.opsetImport.map(({ domain, version }) => [readDomain(domain), Number(version)])),
    irVersion: Number(proto.irVersion),
    producerName: proto.producerName,
    producerVersion: proto.producerVersion,
    metadata: new Map(proto.metadataProps.map(({ key, value }) => [key, value])),
    ...(proto.domain !== "" && { domain: proto.domain }),
    ...(proto.modelVersion !== 0n && { modelVersion: Number(proto.modelVersion) }),
    ...docOf(proto.docString),
    ...opaqueOf(ModelProtoSchema, proto, MODEL_FIELDS),
  };
}

function decode(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes, { recursionLimit: 64 });
  } catch (cause) {
    const message = "model file: readable protobuf, got damaged or truncated bytes; fetch or export the file again";
    throw new LimberError("model.malformed", message, { sizeBytes: bytes.byteLength }, { cause });
  }
}

const readDomain = (domain: string): string => (domain === "ai.onnx" ? STANDARD_DOMAIN : domain);

/** What is left of a message once the fields that the IR models are cleared, as bytes; nothing when nothing is left. */
function opaqueOf<T extends Message>(
  schema: GenMessage<T>,
  message: T,
  modelled: readonly (keyof GenMessage<T>["field"])[],
): { opaque?: Uint8Array } {
  const rest = Object.assign(create(schema), message);
  for (const name of modelled) clearField(rest, schema.field[name]);
  const bytes = toBinary(schema, rest);
  return bytes.length > 0 ? { opaque: bytes } : {};
}

/** Throws: `graph.invalid` when a name comes twice; a map would silently keep one of the two. */
function mapOf<T>(subject: string, entries: readonly (readonly [string, T])[]): Map<string, T> {
  const map = new Map<string, T>();
  for (const [name, value] of entries) {
    if (map.has(name))
      throw new LimberError("graph.invalid", `${subject}: each name once, got "${name}" again`, { name });
    map.set(name, value);
  }
  return map;
}

const docOf = (docString: string): { docString?: string } => (docString === "" ? {} : { docString });
const recordOf = (entries: readonly StringStringEntryProto[]): { metadata?: Record<string, string> } =>
  entries.length === 0 ? {} : { metadata: Object.fromEntries(entries.map(({ key, value }) => [key, value])) };

class Reader implements TensorReader {
  private nodeCount = 0;

  constructor(
    readonly limits: ReadLimits,
    readonly externalData: ExternalData | undefined,
  ) {}

  graph(proto: GraphProto, depth: number): Graph {
    checkLimit(`graph "${proto.name}" nesting`, "nesting", this.limits, depth);
    this.nodeCount += proto.node.length;
    checkLimit("model nodes", "nodes", this.limits, this.nodeCount);
    const nodes = proto.node.map((node) => this.node(node, depth));
    // Sparse weights that a node reads become dense ones; the others are carried as they are.
    const read = namesRead(proto);
    const isRead = ({ values }: SparseTensorProto): boolean => read.has(values?.name ?? "");
    const sparse = proto.sparseInitializer.filter(isRead);
    const carried = proto.sparseInitializer.filter((tensor) => !isRead(tensor));
    return {
      name: proto.name,
      inputs: proto.input.map((value) => this.border(value)),
      outputs: proto.output.map((value) => this.border(value)),
      nodes: sortTopologically(nodes),
      initializers: mapOf(`initializers of graph "${proto.name}"`, [
        ...proto.initializer.map((t) => [t.name, readTensor(t, `initializer "${t.name}"`, this)] as const),
        ...sparse.map((t) => [t.values!.name, readSparseTensor(t, `initializer "${t.values!.name}"`, this)] as const),
      ]),
      types: new Map(
        proto.valueInfo.flatMap((value) => {
          const type = readType(value);
          return type ? [[value.name, type]] : [];
        }),
      ),
      ...docOf(proto.docString),
      ...opaqueOf(
        GraphProtoSchema,
        Object.assign(create(GraphProtoSchema), proto, { sparseInitializer: carried }),
        GRAPH_FIELDS,
      ),
    };
  }

  private border(proto: ValueInfoProto): ValueInfo {
    const type = readType(proto);
    if (!type)
      throw new LimberError(
        "op.unsupported",
        `graph value "${proto.name}": a tensor, got ${proto.type?.value.case ?? "no type"}`,
      );
    return { name: proto.name, ...type, ...docOf(proto.docString) };
  }

  private node(proto: NodeProto, depth: number): Node {
    const owner = `${proto.opType} "${proto.name}"`;
    return {
      op: proto.opType,
      domain: readDomain(proto.domain),
      name: proto.name,
      inputs: proto.input,
      outputs: proto.output,
      attributes: Object.fromEntries(
        mapOf(
          `attributes of ${owner}`,
          proto.attribute.map((a) => [a.name, this.attribute(a, owner, depth)]),
        ),
      ),
      ...docOf(proto.docString),
      ...recordOf(proto.metadataProps),
      ...opaqueOf(NodeProtoSchema, proto, NODE_FIELDS),
    };
  }

  private attribute(proto: AttributeProto, owner: string, depth: number): Attribute {
    switch (kindOf(proto)) {
      case Kind.FLOAT:
        return { kind: "float", value: shortestFloat(proto.f) };
      case Kind.INT:
        if (!isExact(proto.i)) break;
        return { kind: "int", value: Number(proto.i) };
      case Kind.STRING: {
        const value = findText(proto.s);
        if (value !== undefined) return { kind: "string", value };
        break;
      }
      case Kind.FLOATS:
        return { kind: "floats", value: proto.floats.map(shortestFloat) };
      case Kind.INTS:
        if (!proto.ints.every(isExact)) break;
        return { kind: "ints", value: proto.ints.map(Number) };
      case Kind.STRINGS: {
        const value = proto.strings.flatMap((bytes) => findText(bytes) ?? []);
        if (value.length === proto.strings.length) return { kind: "strings", value };
        break;
      }
      case Kind.TENSOR:
        if (proto.t) return { kind: "tensor", value: readTensor(proto.t, `${owner} attribute "${proto.name}"`, this) };
        break;
      case Kind.GRAPH:
        if (proto.g) return { kind: "graph", value: this.graph(proto.g, depth + 1) };
        break;
      case Kind.UNDEFINED:
      case Kind.SPARSE_TENSOR:
      case Kind.TYPE_PROTO:
      case Kind.TENSORS:
      case Kind.GRAPHS:
      case Kind.SPARSE_TENSORS:
      case Kind.TYPE_PROTOS:
        break;
    }
    return { kind: "opaque", value: toBinary(AttributeProtoSchema, clone(AttributeProtoSchema, proto)) };
  }
}

/** Whether a double holds a whole number; the largest, "to the end", is written back as it was. Others are carried unread. */
const isExact = (value: bigint): boolean => BigInt(Number(value)) === value || value === 2n ** 63n - 1n;

/** Values that the nodes of a graph read, those of nested graphs included. */
const namesRead = ({ node }: GraphProto): Set<string> =>
  new Set(
    node.flatMap(({ input, attribute }) => [...input, ...attribute.flatMap(({ g }) => (g ? [...namesRead(g)] : []))]),
  );

/** The kind of an attribute; old exporters leave `type` empty, then the one filled field tells. */
function kindOf(proto: AttributeProto): Kind {
  if (proto.type !== Kind.UNDEFINED) return proto.type;
  if (proto.t) return Kind.TENSOR;
  if (proto.g) return Kind.GRAPH;
  if (proto.s.length > 0) return Kind.STRING;
  if (proto.ints.length > 0) return Kind.INTS;
  if (proto.floats.length > 0) return Kind.FLOATS;
  if (proto.strings.length > 0) return Kind.STRINGS;
  return proto.f !== 0 ? Kind.FLOAT : Kind.INT;
}

function readType(proto: ValueInfoProto): TensorType | undefined {
  if (proto.type?.value.case !== "tensorType") return undefined;
  const { elemType, shape } = proto.type.value.value;
  const dims = shape?.dim.map(({ value }): Dim => {
    // A negative size is how some exporters say "unknown"; ONNX Runtime reads it so too.
    if (value.case === "dimValue") return value.value < 0n ? "" : Number(value.value);
    return value.case === "dimParam" ? value.value : "";
  });
  return { dtype: readDType(elemType, `value "${proto.name}"`), dims };
}
