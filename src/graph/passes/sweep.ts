import { ancestorsOf, type Model } from "../ir/index.js";

/** Removes nodes and initializers that no output depends on. Inputs stay: they are the contract of the model. */
export function sweepDead(model: Model): Model {
  const { graph } = model;
  const alive = ancestorsOf(
    graph,
    graph.outputs.map((output) => output.name),
  );
  const nodes = graph.nodes.filter((node) => node.outputs.some((name) => alive.has(name)));
  const defined = new Set(nodes.flatMap((node) => node.outputs));
  const initializers = new Map([...graph.initializers].filter(([name]) => alive.has(name)));
  const types = new Map([...graph.types].filter(([name]) => defined.has(name)));
  return { ...model, graph: { ...graph, nodes, initializers, types } };
}
