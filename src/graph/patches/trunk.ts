import { type Graph, type Node, producersOf, readsOf } from "../ir/index.js";

/** How a value lies in memory: [N, C, H, W], or [N, T, C] with a row for each piece of the image. */
export type Layout = "map" | "tokens";

/** Ops whose data are maps. */
const MAP_OPS: ReadonlySet<string> = new Set([
  ...["Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "Resize", "Upsample"],
  ...["BatchNormalization", "InstanceNormalization", "GroupNormalization", "DepthToSpace", "SpaceToDepth"],
]);
/** Ops that read tokens, where their other input is a weight. */
const TOKEN_OPS: ReadonlySet<string> = new Set(["LayerNormalization", "MatMul"]);
/** Ops that give something else of the same form. */
const OTHER_FORM: ReadonlySet<string> = new Set([
  ...["Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "MatMul", "Gemm", "Einsum"],
  ...["Softmax", "Gather", "Slice", "Split"],
]);

/** The layout of each value whose layout shows: what convolutions and the like read and write, and what follows from it elementwise. */
export function layoutsOf(graph: Graph): Map<string, Layout> {
  const layouts = new Map<string, Layout>();
  const rankOf = (name: string): number => graph.types.get(name)?.dims?.length ?? 0;
  const set = (name: string, layout: Layout): void => {
    if (rankOf(name) === (layout === "map" ? 4 : 3)) layouts.set(name, layout);
  };
  for (const node of graph.nodes) {
    const [first = "", weight = ""] = node.inputs;
    const layout = MAP_OPS.has(node.op)
      ? "map"
      : TOKEN_OPS.has(node.op) && graph.initializers.has(weight)
        ? "tokens"
        : undefined;
    if (layout) set(first, layout);
    const passed = OTHER_FORM.has(node.op) ? undefined : node.inputs.map((name) => layouts.get(name)).find(Boolean);
    const found = layout ?? passed;
    if (found) for (const output of node.outputs) set(output, found);
  }
  return layouts;
}

/** Each node's nearest one through which all ways to it lead; undefined where they begin apart. */
type Dominators = ReadonlyMap<Node, Node | undefined>;

/**
 * Dominators of an acyclic graph in one pass: `edges` lists nodes behind those that they follow, each with these.
 * Source: Cooper, Harvey & Kennedy 2001, A Simple, Fast Dominance Algorithm.
 */
function dominatorsOf(edges: Iterable<readonly [Node, readonly Node[]]>): Dominators {
  const dominators = new Map<Node, Node | undefined>();
  const depths = new Map<Node, number>();
  const common = (a: Node | undefined, b: Node | undefined): Node | undefined => {
    while (a !== b) {
      if (!a || !b) return undefined;
      if (depths.get(a)! >= depths.get(b)!) a = dominators.get(a);
      else b = dominators.get(b);
    }
    return a;
  };
  for (const [node, before] of edges) {
    const nearest = before.slice(1).reduce<Node | undefined>(common, before[0]);
    dominators.set(node, nearest);
    depths.set(node, nearest ? depths.get(nearest)! + 1 : 0);
  }
  return dominators;
}

/** A node and those that dominate it, from the nearest to the farthest. */
function* chainOf(dominators: Dominators, node: Node): Generator<Node> {
  for (let at: Node | undefined = node; at; at = dominators.get(at)) yield at;
}

/** The nodes among `within` through which every way from the first of them to `end` leads, in order, with `end`. */
export function nodesBefore(graph: Graph, end: Node, within: ReadonlySet<Node>): Node[] {
  const producers = producersOf(graph);
  const edges = graph.nodes
    .filter((node) => within.has(node))
    .map((node): [Node, Node[]] => [
      node,
      readsOf(node)
        .flatMap((name) => producers.get(name) ?? [])
        .filter((each) => within.has(each)),
    ]);
  return [...chainOf(dominatorsOf(edges), end)].reverse();
}

/** The nodes through which every way from `start` to an output leads, in order, with `start`. */
export function nodesBehind(graph: Graph, start: Node): Node[] {
  const readers = new Map<string, Node[]>();
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const edges: [Node, Node[]][] = [];
  const alive = new Set<Node>();
  for (const node of graph.nodes.toReversed()) {
    const behind = [...new Set(node.outputs.flatMap((name) => readers.get(name) ?? []))];
    const isOutput = node.outputs.some((name) => outputs.has(name));
    if (!isOutput && behind.length === 0) continue;
    alive.add(node);
    // What an output shows directly ends there: nothing behind it is on every way.
    edges.push([node, isOutput ? [] : behind]);
    for (const name of readsOf(node)) readers.set(name, [...(readers.get(name) ?? []), node]);
  }
  return alive.has(start) ? [...chainOf(dominatorsOf(edges), start)] : [start];
}
