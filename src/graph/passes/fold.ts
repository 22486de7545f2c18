import { sizeOf, type Tensor } from "../../base/index.js";
import { consumersOf, type Graph, type Model, type Node } from "../ir/index.js";
import { fromReference, type ReferenceTensor } from "../ops/index.js";
import { isSetting, type IsWorth, Knowledge, opsetOf } from "./knowledge.js";
import { sweepDead } from "./sweep.js";

/**
 * Replaces nodes whose outputs follow from constants by initializers, and sweeps what is then unused.
 * The model does not grow: a result is kept when it is small, or no larger than the constants that vanish with its node.
 * A number that is written into a Constant as attribute stays there, in full precision.
 */
export function foldConstants(model: Model): Model {
  const { graph } = model;
  const knowledge = new Knowledge(graph, opsetOf(model));
  const isWorth = shrinks(graph, knowledge);
  for (const node of graph.nodes) knowledge.visit(node, isWorth);
  const outputs = new Set(graph.outputs.map((output) => output.name));
  const folded = new Map<Node, readonly (readonly [string, Tensor])[]>();
  for (const node of graph.nodes) {
    const names = node.outputs.filter((name) => name !== "");
    const stays =
      names.some((name) => outputs.has(name)) || (node.op === "Constant" && node.attributes.value?.kind !== "tensor");
    const values = stays ? [] : names.flatMap((name) => keep(name, knowledge.constantOf(name)));
    if (values.length > 0 && values.length === names.length) folded.set(node, values);
  }
  const initializers = new Map([...graph.initializers, ...[...folded.values()].flat()]);
  const nodes = graph.nodes.filter((node) => !folded.has(node));
  return sweepDead({ ...model, graph: { ...graph, nodes, initializers } });
}

/** Small results, and those that only take the place of constants which nobody else reads. */
function shrinks(graph: Graph, knowledge: Knowledge): IsWorth {
  const consumers = consumersOf(graph);
  return (node, elements) => {
    if (isSetting(node, elements)) return true;
    const replaced = node.inputs.filter((name) => consumers.get(name)?.length === 1);
    return elements <= replaced.reduce((sum, name) => sum + sizeOf(knowledge.constantOf(name)?.dims ?? [0]), 0);
  };
}

/** A computed value as a tensor of its element type; nothing when doubles cannot hold it exactly. */
function keep(name: string, value: Tensor | undefined): (readonly [string, Tensor])[] {
  if (!value) return [];
  const computed = value.data instanceof Float64Array && value.dtype !== "float64";
  if (!computed) return [[name, value]];
  const { dtype, dims, data } = value as ReferenceTensor;
  const exact =
    !dtype.endsWith("int64") || data.every((x) => Math.abs(x) <= Number.MAX_SAFE_INTEGER || Math.abs(x) >= 2 ** 63);
  return exact ? [[name, fromReference({ dtype, dims, data })]] : [];
}
