import type { Tensor } from "../../../src/base/index.js";
import type { Model, Node } from "../../../src/graph/ir/index.js";
import { catalog, type OpType } from "../../../src/graph/ops/index.js";
import type { OpCase } from "./draw.js";

export const opsetOf = ({ opset = 17 }: OpCase): number => opset;

/** A case as a model of one node, with what to feed it. Output types are left for the runtime to infer. */
export function modelOf(op: OpType, opCase: OpCase): { model: Model; node: Node; feeds: Map<string, Tensor> } {
  const { model, feeds } = modelOfCases(op, [opCase]);
  return { model, node: model.graph.nodes[0]!, feeds };
}

/** Cases of one op and opset side by side in one model: one node each. */
export function modelOfCases(op: OpType, cases: readonly OpCase[]): { model: Model; feeds: Map<string, Tensor> } {
  const feeds = new Map<string, Tensor>();
  const nodes = cases.map((opCase, i) => nodeOf(op, opCase, i === 0 ? "" : `case${i}:`, feeds));
  const model: Model = {
    graph: {
      name: op,
      inputs: [...feeds].map(([name, { dtype, dims }]) => ({ name, dtype, dims })),
      outputs: [],
      nodes,
      initializers: new Map(),
      types: new Map(),
    },
    opsets: new Map([
      ["", opsetOf(cases[0]!)],
      ["com.microsoft", 1],
    ]),
    irVersion: 8,
    producerName: "test",
    producerVersion: "",
    metadata: new Map(),
  };
  return { model, feeds };
}

function nodeOf(
  op: OpType,
  { inputs, attributes = {}, outputs = 1 }: OpCase,
  prefix: string,
  feeds: Map<string, Tensor>,
): Node {
  const spec = catalog[op];
  const names = inputs.map((input, i) => (input ? `${prefix}in${i}` : ""));
  inputs.forEach((input, i) => input && feeds.set(names[i]!, input));
  return {
    op,
    domain: "domain" in spec ? spec.domain : "",
    name: `${prefix}subject`,
    inputs: names,
    outputs: Array.from({ length: outputs }, (_, i) => `${prefix}out${i}`),
    attributes,
  };
}
