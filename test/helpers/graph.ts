import type { DType, Tensor } from "../../src/base/index.js";
import type { Attributes, Dim, Model, Node } from "../../src/graph/ir/index.js";

/** A node of the standard domain, named after its first output. */
export const node = (
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Attributes = {},
): Node => ({ op, domain: "", name: `${outputs[0]}/${op}`, inputs, outputs, attributes });

type Value = readonly Dim[] | { readonly dtype: DType; readonly dims: readonly Dim[] | undefined };
const typeOf = (value: Value): { dtype: DType; dims: readonly Dim[] | undefined } =>
  "dtype" in value ? value : { dtype: "float32", dims: value };

export interface ModelParts {
  /** Shapes by name; float32 unless said. */
  readonly inputs?: Readonly<Record<string, Value>>;
  /** Names, or types by name; float32 of unknown rank unless said. */
  readonly outputs: readonly string[] | Readonly<Record<string, Value>>;
  readonly nodes: readonly Node[];
  readonly initializers?: Readonly<Record<string, Tensor>>;
  readonly opset?: number;
  readonly irVersion?: number;
}

/** A model from its parts as plain data. */
export function modelOf({
  inputs = {},
  outputs,
  nodes,
  initializers = {},
  opset = 17,
  irVersion = 8,
}: ModelParts): Model {
  const named = Array.isArray(outputs)
    ? outputs.map((name: string) => ({ name, dtype: "float32" as const, dims: undefined }))
    : Object.entries(outputs as Readonly<Record<string, Value>>).map(([name, value]) => ({ name, ...typeOf(value) }));
  return {
    graph: {
      name: "test",
      inputs: Object.entries(inputs).map(([name, value]) => ({ name, ...typeOf(value) })),
      outputs: named,
      nodes,
      initializers: new Map(Object.entries(initializers)),
      types: new Map(),
    },
    opsets: new Map([["", opset]]),
    irVersion,
    producerName: "test",
    producerVersion: "",
    metadata: new Map(),
  };
}
