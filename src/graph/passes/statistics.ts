import type { Model, Node } from "../ir/index.js";
import { Emitter } from "../ops/index.js";

const FIRST_STATISTIC = 3;
const isStatistic = (node: Node, index: number): boolean =>
  node.op === "BatchNormalization" && index >= FIRST_STATISTIC && index < FIRST_STATISTIC + 2;

/**
 * Gives every BatchNormalization running statistics that nothing else reads, so that each can be tracked and exported.
 * Exporters merge equal weights: those of a network that was never trained are all zeros and ones. The data is shared.
 */
export function separateStatistics(model: Model): Model {
  const { graph } = model;
  const names = new Emitter(1, [...graph.initializers.keys(), ...graph.nodes.flatMap(({ outputs }) => outputs)]);
  const initializers = new Map(graph.initializers);
  const claimed = new Set([
    ...graph.outputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => node.inputs.filter((_, i) => !isStatistic(node, i))),
  ]);
  const separate = (node: Node): Node => ({
    ...node,
    inputs: node.inputs.map((name, i) => {
      const value = graph.initializers.get(name);
      if (!value || !isStatistic(node, i)) return name;
      const own = claimed.has(name) ? names.freshName(name) : name;
      claimed.add(own);
      initializers.set(own, value);
      return own;
    }),
  });
  const nodes = graph.nodes.map((node) => (node.op === "BatchNormalization" ? separate(node) : node));
  return { ...model, graph: { ...graph, nodes, initializers } };
}
