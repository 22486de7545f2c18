import type { Model } from "../ir/index.js";
import { writeModel } from "../onnx/index.js";
import { parametersOf } from "./parameters.js";

/** Every weight of a model: what can train, and the running statistics of normalizations. */
export function weightsOf(model: Model): string[] {
  const { nodes, initializers } = model.graph;
  const statistics = nodes.flatMap(({ op, inputs }) => (op === "BatchNormalization" ? inputs.slice(3) : []));
  const names = new Set([...parametersOf(model).map(({ name }) => name), ...statistics]);
  return [...names].filter((name) => initializers.has(name));
}

/** A model without its weights and metadata, as bytes: equal for models that differ in the values of weights alone. */
export function structureOf(model: Model): Uint8Array {
  const { graph } = model;
  const weights = new Set(weightsOf(model));
  const all = [...graph.initializers];
  const shapes = all.flatMap(([name, { dtype, dims }]) => (weights.has(name) ? [{ name, dtype, dims }] : []));
  const initializers = new Map(all.filter(([name]) => !weights.has(name)));
  const inputs = [...graph.inputs, ...shapes];
  return writeModel({ ...model, metadata: new Map(), graph: { ...graph, inputs, initializers, types: new Map() } });
}
