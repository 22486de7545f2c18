import { isEqual, type Tensor } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import { parametersOf } from "./parameters.js";

/** Every weight of a model: what can train, and the running statistics of normalizations. */
export function weightsOf(model: Model): string[] {
  const { nodes, initializers } = model.graph;
  const statistics = nodes.flatMap(({ op, inputs }) => (op === "BatchNormalization" ? inputs.slice(3) : []));
  const names = new Set([...parametersOf(model).map(({ name }) => name), ...statistics]);
  return [...names].filter((name) => initializers.has(name));
}

/**
 * Whether models differ in the values of weights and in metadata alone: steps compiled for one then compute the other.
 * Cost: none for nodes that both share, as models cut from one do.
 */
export function haveSameStructure(a: Model, b: Model): boolean {
  const weights = new Set(weightsOf(a));
  const shapeOf = (name: string, { dtype, dims, data }: Tensor) =>
    weights.has(name) ? { dtype, dims } : { dtype, dims, data };
  const plain = (model: Model) => ({
    ...model,
    metadata: undefined,
    graph: {
      ...model.graph,
      types: undefined,
      initializers: new Map(Array.from(model.graph.initializers, ([name, tensor]) => [name, shapeOf(name, tensor)])),
    },
  });
  return isEqual(plain(a), plain(b));
}
