import { bytesPerElement, isFloat, sizeOf } from "../../base/index.js";
import { AttributeReader, type Graph, type Model, type Node } from "../ir/index.js";
import { catalog, costTable, findOpType } from "../ops/index.js";
import { Knowledge, opsetOf, staticDims } from "./knowledge.js";

/** What one run of a node takes. */
export interface NodeCost {
  readonly node: Node;
  /** Multiply-accumulates. */
  readonly macs: number;
  /** Size of everything that the node reads and writes. */
  readonly sizeBytes: number;
  /** Trained numbers that this node is the first to read. */
  readonly parameters: number;
}

export interface ModelCost {
  readonly nodes: readonly NodeCost[];
  readonly macs: number;
  readonly sizeBytes: number;
  readonly parameters: number;
  /** Nodes that are not counted in `macs` and `sizeBytes`: an unknown op, or a shape that is not static. */
  readonly uncounted: readonly Node[];
}

/** Inputs that hold settings or running statistics rather than trained numbers. */
const NOT_TRAINED: ReadonlySet<string> = new Set([
  "input_mean",
  "input_var",
  "min",
  "max",
  "ratio",
  "constant_value",
  "roi",
  "scales",
  "values",
  "start",
  "limit",
  "delta",
]);

/**
 * Multiply-accumulates, traffic and parameters, node by node. Bind the batch and infer shapes first.
 * Parameters are counted once, at their first reader, however often they are read.
 */
export function costOf(model: Model): ModelCost {
  const { graph } = model;
  const knowledge = new Knowledge(graph, opsetOf(model));
  const counted = new Set<string>();
  const uncounted: Node[] = [];
  const nodes = graph.nodes.map((node): NodeCost => {
    knowledge.visit(node);
    const parameters = countParameters(graph, node, counted);
    const work = measure(node, knowledge, opsetOf(model));
    if (!work) uncounted.push(node);
    return { node, macs: 0, sizeBytes: 0, ...work, parameters };
  });
  const total = (key: "macs" | "sizeBytes" | "parameters"): number => nodes.reduce((sum, cost) => sum + cost[key], 0);
  return { nodes, macs: total("macs"), sizeBytes: total("sizeBytes"), parameters: total("parameters"), uncounted };
}

function measure(node: Node, knowledge: Knowledge, opset: number): { macs: number; sizeBytes: number } | undefined {
  const op = findOpType(node);
  const values = [...node.inputs, ...node.outputs].filter((name) => name !== "");
  const sizes = values.map((name) => {
    const type = knowledge.types.get(name);
    const dims = staticDims(type);
    return type && dims && sizeOf(dims) * bytesPerElement(type.dtype);
  });
  if (!op || !sizes.every((size) => size !== undefined)) return undefined;
  const dimsOf = (names: readonly string[]) => names.map((name) => staticDims(knowledge.types.get(name)));
  const rule = costTable[op];
  const context = { node, attributes: new AttributeReader(node.attributes, node), opset };
  const macs = rule === "free" ? 0 : rule({ ...context, inputs: dimsOf(node.inputs), outputs: dimsOf(node.outputs) });
  return { macs, sizeBytes: sizes.reduce((a, b) => a + b, 0) };
}

function countParameters(graph: Graph, node: Node, counted: Set<string>): number {
  const op = findOpType(node);
  const roles: readonly string[] = op ? catalog[op].inputs : [];
  return node.inputs.reduce((sum, name, i) => {
    const value = graph.initializers.get(name);
    const setting = NOT_TRAINED.has(roles[i]?.replace("?", "") ?? "");
    if (!value || !isFloat(value.dtype) || setting || counted.has(name)) return sum;
    counted.add(name);
    return sum + sizeOf(value.dims);
  }, 0);
}
