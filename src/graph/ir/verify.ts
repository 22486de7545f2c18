import { formatShape, LimberError, sizeOf } from "../../base/index.js";
import type { Graph } from "./types.js";

/** A broken rule of the IR and where. */
export interface Problem {
  readonly message: string;
  readonly node?: string;
  readonly value?: string;
}

/**
 * Looks for broken rules: every name defined once, before it is read, and outputs defined.
 * `outer` holds the names that a nested graph may see.
 */
export function findProblems(graph: Graph, outer: Pick<ReadonlySet<string>, "has"> = new Set()): Problem[] {
  const problems: Problem[] = [];
  const own = new Set<string>();
  const defined = { has: (name: string): boolean => own.has(name) || outer.has(name) };
  const define = (value: string, where: string, node?: string): void => {
    if (own.has(value))
      problems.push({ message: `${where}: a name defined once, got "${value}" again`, value, ...(node && { node }) });
    own.add(value);
  };
  // An initializer may repeat an input: since IR 4 it is then the default value of that input.
  for (const input of graph.inputs) define(input.name, "input");
  const inputs = new Set(own);
  for (const [name, tensor] of graph.initializers) {
    if (!inputs.has(name)) define(name, "initializer");
    if (tensor.data.length !== sizeOf(tensor.dims)) {
      const message = `initializer "${name}": ${sizeOf(tensor.dims)} elements for ${formatShape(tensor.dims)}, got ${tensor.data.length}`;
      problems.push({ message, value: name });
    }
  }
  for (const node of graph.nodes) {
    const where = `${node.op} "${node.name}"`;
    for (const attribute of Object.values(node.attributes)) {
      if (attribute.kind === "graph")
        for (const problem of findProblems(attribute.value, defined)) problems.push(problem);
    }
    for (const value of node.inputs) {
      if (value !== "" && !defined.has(value))
        problems.push({ message: `${where}: inputs defined before, got "${value}"`, node: node.name, value });
    }
    for (const value of node.outputs) if (value !== "") define(value, where, node.name);
  }
  for (const { name } of graph.outputs) {
    if (!defined.has(name))
      problems.push({ message: `output "${name}": a value of the graph, got none of that name`, value: name });
  }
  return problems;
}

/** Throws: `graph.invalid` with the first problem in the message and all in the context. */
export function checkGraph(graph: Graph): void {
  const problems = findProblems(graph);
  if (problems.length === 0) return;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  throw new LimberError("graph.invalid", `graph "${graph.name}": ${problems[0]!.message}${more}`, { problems });
}
