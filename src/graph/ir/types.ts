import type { DType, Tensor } from "../../base/index.js";

/** One axis: a number, or the name of a symbolic dimension (`""` when nothing is known). */
export type Dim = number | string;

export interface TensorType {
  readonly dtype: DType;
  /** Undefined when even the rank is unknown. */
  readonly dims: readonly Dim[] | undefined;
}

/** A named tensor at the border of a graph. */
export interface ValueInfo extends TensorType {
  readonly name: string;
  readonly docString?: string;
}

/**
 * Attribute values. Numbers carry their ONNX kind, since `1` may be an int or a float.
 * Floats are kept as the shortest decimal that rounds to the stored float32: `1e-5`, not `9.999999747378752e-6`,
 * so that float64 evaluation uses the number that the author wrote.
 */
export type Attribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "strings"; readonly value: readonly string[] }
  | { readonly kind: "tensor"; readonly value: Tensor }
  | { readonly kind: "graph"; readonly value: Graph }
  /** What Limber carries but does not read (sparse tensors, type protos): encoded bytes of the AttributeProto. */
  | { readonly kind: "opaque"; readonly value: Uint8Array };

export type Attributes = Readonly<Record<string, Attribute>>;

/** One operator call. Values are joined by name, as in ONNX; `""` marks an absent optional input or output. */
export interface Node {
  readonly op: string;
  /** `""` is the standard ONNX domain. */
  readonly domain: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
  readonly docString?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Encoded fields that Limber carries but does not read (device placement, unknown fields). */
  readonly opaque?: Uint8Array;
}

/**
 * A graph in static single assignment: every name is defined once, by an input, an initializer or a node output.
 * Nodes stand in topological order. Graphs are plain data: never mutated, cheap to copy, ready for a worker.
 */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Known types of inner values. */
  readonly types: ReadonlyMap<string, TensorType>;
  readonly docString?: string;
  /** Encoded fields that Limber carries but does not read (quantization annotations, unknown fields). */
  readonly opaque?: Uint8Array;
}

export interface Model {
  readonly graph: Graph;
  /** Domain to version; `""` is the standard domain. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly domain?: string;
  readonly modelVersion?: number;
  readonly docString?: string;
  /** Encoded fields that Limber carries but does not read (functions, unknown fields). */
  readonly opaque?: Uint8Array;
}

/** The domain of the standard ONNX operators; files may also spell it `ai.onnx`. */
export const STANDARD_DOMAIN = "";

/** What a model that Limber writes itself says about itself. */
export const OWN_HEADER: Omit<Model, "graph"> = {
  opsets: new Map([[STANDARD_DOMAIN, 17]]),
  irVersion: 8,
  producerName: "limber",
  producerVersion: "",
  metadata: new Map(),
};

/** Element types by their TensorProto.DataType number. */
export const DTYPE_CODES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const satisfies Record<DType, number>;

const DTYPES = new Map(Object.entries(DTYPE_CODES).map(([dtype, code]) => [code as number, dtype as DType]));

/** The element type of a TensorProto.DataType number, if Limber carries it. */
export const findDType = (code: number): DType | undefined => DTYPES.get(code);
