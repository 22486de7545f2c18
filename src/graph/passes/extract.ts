import { invariant } from "../../base/index.js";
import type { Graph, Model, ValueInfo } from "../ir/index.js";
import { sweepDead } from "./sweep.js";

/** The part of a model that computes `outputs` when the values in `given` are known: those become inputs, next to the inputs still read. */
export function extractModel(model: Model, given: readonly string[], outputs: readonly string[]): Model {
  const { graph } = model;
  const known = new Set(given);
  const infoOf = (name: string): ValueInfo => {
    const type = graph.types.get(name) ?? graph.outputs.find((v) => v.name === name);
    invariant(type, `value "${name}" has a type`);
    return { name, dtype: type.dtype, dims: type.dims };
  };
  const part: Graph = {
    ...graph,
    inputs: [...graph.inputs, ...given.map(infoOf)],
    outputs: outputs.map(infoOf),
    nodes: graph.nodes.filter((node) => !node.outputs.some((name) => known.has(name))),
  };
  const swept = sweepDead({ ...model, graph: part }).graph;
  const read = new Set([...swept.nodes.flatMap((node) => node.inputs), ...outputs]);
  return { ...model, graph: { ...swept, inputs: swept.inputs.filter((v) => read.has(v.name)) } };
}
