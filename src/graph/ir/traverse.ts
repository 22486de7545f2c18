import { LimberError } from "../../base/index.js";
import type { Graph, Node } from "./types.js";

/** Names that a node reads, those of nested graphs included (they may see values of the outer graph). */
export function readsOf(node: Node): string[] {
  const nested = Object.values(node.attributes).flatMap((a) => (a.kind === "graph" ? freeNames(a.value) : []));
  return [...node.inputs.filter((name) => name !== ""), ...nested];
}

/** Names that a graph reads but does not define. */
function freeNames(graph: Graph): string[] {
  const defined = new Set([...graph.inputs.map((v) => v.name), ...graph.initializers.keys()]);
  for (const node of graph.nodes) for (const name of node.outputs) defined.add(name);
  const read = [...graph.nodes.flatMap(readsOf), ...graph.outputs.map((v) => v.name)];
  return read.filter((name) => !defined.has(name));
}

/** Which node defines each value. */
export function producersOf(graph: Graph): Map<string, Node> {
  const producers = new Map<string, Node>();
  for (const node of graph.nodes) for (const name of node.outputs) if (name !== "") producers.set(name, node);
  return producers;
}

/** Which nodes read each value, in graph order. */
export function consumersOf(graph: Graph): Map<string, Node[]> {
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const name of new Set(readsOf(node))) {
      const list = consumers.get(name);
      if (list) list.push(node);
      else consumers.set(name, [node]);
    }
  }
  return consumers;
}

/**
 * The nodes in an order where every value is defined before it is read; nodes already in order keep their places.
 * Cost: linear in nodes and inputs; no recursion, so a long chain is no danger.
 * Throws: `graph.cyclic`, naming a node of the circle.
 */
export function sortTopologically(nodes: readonly Node[]): Node[] {
  const producers = new Map<string, Node>();
  for (const node of nodes) for (const name of node.outputs) if (name !== "") producers.set(name, node);
  const order: Node[] = [];
  const state = new Map<Node, "open" | "done">();
  const stack: { readonly node: Node; readonly sources: Iterator<Node, undefined> }[] = [];
  const enter = (node: Node): void => {
    state.set(node, "open");
    stack.push({
      node,
      sources: readsOf(node)
        .flatMap((name) => producers.get(name) ?? [])
        .values(),
    });
  };
  for (const root of nodes) {
    if (!state.has(root)) enter(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const source = top.sources.next().value;
      if (!source) {
        state.set(top.node, "done");
        order.push(top.node);
        stack.pop();
      } else if (state.get(source) === "open") {
        const message = `graph: no circle among nodes, got one through ${source.op} "${source.name}"`;
        throw new LimberError("graph.cyclic", message, { op: source.op, node: source.name });
      } else if (!state.has(source)) enter(source);
    }
  }
  return order;
}

/** Names of the values that can be reached backwards from the given ones, themselves included. */
export function ancestorsOf(graph: Graph, names: Iterable<string>): Set<string> {
  const seen = new Set(names);
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    if (node.outputs.some((name) => seen.has(name))) for (const name of readsOf(node)) seen.add(name);
  }
  return seen;
}

/** Names of the values that depend on the given ones, themselves included. */
export function descendantsOf(graph: Graph, names: Iterable<string>): Set<string> {
  const seen = new Set(names);
  for (const node of graph.nodes) {
    if (readsOf(node).some((name) => seen.has(name))) for (const name of node.outputs) if (name !== "") seen.add(name);
  }
  return seen;
}
