import { isFloat } from "../../base/index.js";
import { ancestorsOf, type Graph, type Model, type Node, readsOf } from "../ir/index.js";
import { findGradientObstacle, findOpType, gradientTable } from "../ops/index.js";
import { type Parameter, parametersOf } from "./parameters.js";
import { inferShapes } from "./shapes.js";

/** A node on the way from a parameter to an output that lets no gradient back. */
export interface GradientStop {
  readonly op: string;
  readonly node: string;
  readonly reason: string;
  /** Parameters that lead through this node and that no gradient reaches on another way either. */
  readonly cutOff: readonly string[];
}

/**
 * Every node that stops a gradient between the given parameters (all when absent) and the outputs, in graph order.
 * A stop without `cutOff` leaves nothing untrained: a mask, or an index beside a value that has a gradient.
 */
export function findGradientStops(model: Model, wrt?: readonly string[]): GradientStop[] {
  const { graph } = model;
  const names = wrt ?? parametersOf(model).map(({ name }) => name);
  const carries = carriersOf(model);
  const dependent = new Set(names);
  const outputs = graph.outputs.map(({ name }) => name);
  const needed = ancestorsOf(graph, outputs);
  const found: { readonly node: Node; readonly reason: string }[] = [];
  for (const node of graph.nodes) {
    const reason = blockadeOf(node);
    if (reason === "shape-only" || !readsOf(node).some((name) => dependent.has(name))) continue;
    if (reason !== undefined && node.outputs.some((name) => needed.has(name))) found.push({ node, reason });
    for (const name of node.outputs) if (carries(name)) dependent.add(name);
  }
  const reached = reachedFrom(graph, outputs);
  return found.map(({ node, reason }) => {
    const above = ancestorsOf(graph, readsOf(node));
    return {
      op: node.op,
      node: node.name === "" ? node.outputs[0]! : node.name,
      reason,
      cutOff: names.filter((name) => above.has(name) && !reached.has(name)),
    };
  });
}

/** The parameters that a gradient of the first output reaches: what a training step can change. */
export function trainableOf(model: Model): Parameter[] {
  const reached = reachedFrom(
    model.graph,
    model.graph.outputs.slice(0, 1).map(({ name }) => name),
  );
  return parametersOf(model).filter(({ name }) => reached.has(name));
}

/** Why no gradient passes a node; undefined when it does. `shape-only`: the node carries no value to differentiate. */
function blockadeOf(node: Node): string | undefined {
  const obstacle = findGradientObstacle(node);
  if (obstacle !== undefined) return obstacle;
  const rule = gradientTable[findOpType(node)!];
  return typeof rule === "string" ? rule : undefined;
}

/** Values that a gradient reaches on its way back from some outputs. */
function reachedFrom(graph: Graph, outputs: readonly string[]): Set<string> {
  const reached = new Set(outputs);
  for (const node of [...graph.nodes].reverse()) {
    if (blockadeOf(node) !== undefined || !node.outputs.some((name) => reached.has(name))) continue;
    for (const name of node.inputs) reached.add(name);
  }
  return reached;
}

/** Whether a value may carry a gradient: floats do, and what is of unknown type. */
function carriersOf(model: Model): (name: string) => boolean {
  const { types } = inferShapes(model).graph;
  return (name) => {
    const dtype = types.get(name)?.dtype;
    return dtype === undefined || isFloat(dtype) || dtype.endsWith("float16");
  };
}
