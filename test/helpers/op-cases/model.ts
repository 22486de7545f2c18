import type { Tensor } from "../../../src/base/index.js";
import { type Model, type Node } from "../../../src/graph/ir/index.js";
import { catalog, type OpType } from "../../../src/graph/ops/index.js";
import type { OpCase } from "./draw.js";

/** A case as a model of one node, with what to feed it. Output types are left for the runtime to infer. */
export function modelOf(
  op: OpType,
  { inputs, attributes = {}, outputs = 1, opset = 17 }: OpCase,
): { model: Model; node: Node; feeds: Map<string, Tensor> } {
  const spec = catalog[op];
  const names = inputs.map((input, i) => (input ? `in${i}` : ""));
  const node: Node = {
    op,
    domain: "domain" in spec ? spec.domain : "",
    name: "subject",
    inputs: names,
    outputs: Array.from({ length: outputs }, (_, i) => `out${i}`),
    attributes,
  };
  const feeds = new Map(inputs.flatMap((input, i) => (input ? [[names[i]!, input] as const] : [])));
  const model: Model = {
    graph: {
      name: op,
      inputs: [...feeds].map(([name, { dtype, dims }]) => ({ name, dtype, dims })),
      outputs: [],
      nodes: [node],
      initializers: new Map(),
      types: new Map(),
    },
    opsets: new Map([
      ["", opset],
      ["com.microsoft", 1],
    ]),
    irVersion: 8,
    producerName: "test",
    producerVersion: "",
    metadata: new Map(),
  };
  return { model, node, feeds };
}
