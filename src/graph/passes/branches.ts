import { toNumbers } from "../../base/index.js";
import { type Attributes, type Graph, type Model, type Node, STANDARD_DOMAIN } from "../ir/index.js";
import { Emitter } from "../ops/index.js";

/**
 * Puts the branch that is taken in place of every `If` whose condition is constant; the same model when there is none.
 * Exporters write one where a size decides, such as the squeeze of an axis that may be 1.
 */
export function inlineBranches(model: Model): Model {
  const { graph } = model;
  if (!graph.nodes.some((node) => findBranch(node, graph))) return model;
  const names = new Emitter(1, namesOf(graph));
  const initializers = new Map(graph.initializers);
  const types = new Map(graph.types);
  const nodes = graph.nodes.flatMap((node) => {
    const branch = findBranch(node, graph);
    if (!branch) return [node];
    const renamed = bringIn(branch, node, names);
    for (const [name, value] of renamed.initializers) initializers.set(name, value);
    for (const [name, type] of renamed.types) types.set(name, type);
    return renamed.nodes;
  });
  return { ...model, graph: { ...graph, nodes, initializers, types } };
}

function findBranch(node: Node, { initializers }: Graph): Graph | undefined {
  const condition = node.op === "If" && node.domain === STANDARD_DOMAIN ? initializers.get(node.inputs[0]!) : undefined;
  if (!condition) return undefined;
  const branch = node.attributes[toNumbers(condition)[0] === 0 ? "else_branch" : "then_branch"];
  return branch?.kind === "graph" ? branch.value : undefined;
}

/** A branch under names that are free outside of it; its outputs get the names of the node's. */
function bringIn(branch: Graph, node: Node, names: Emitter): Pick<Graph, "nodes" | "initializers" | "types"> {
  const local = new Set([...branch.initializers.keys(), ...branch.nodes.flatMap(({ outputs }) => outputs)]);
  const renames = new Map<string, string>();
  const copies: Node[] = [];
  branch.outputs.forEach(({ name }, i) => {
    const output = node.outputs[i] ?? "";
    if (output === "") return;
    if (local.has(name) && !renames.has(name)) renames.set(name, output);
    else copies.push({ op: "Identity", domain: "", name: output, inputs: [name], outputs: [output], attributes: {} });
  });
  for (const name of local) if (name !== "" && !renames.has(name)) renames.set(name, names.freshName(name));
  const rename = (name: string): string => renames.get(name) ?? name;
  const entries = <T>(map: ReadonlyMap<string, T>): Map<string, T> =>
    new Map([...map].map(([name, value]) => [rename(name), value]));
  return {
    nodes: [...branch.nodes, ...copies].map((inner) => renameNode(inner, rename)),
    initializers: entries(branch.initializers),
    types: entries(branch.types),
  };
}

/** Names of nested graphs too: they may read those of the branch. */
function renameNode(node: Node, rename: (name: string) => string): Node {
  const nested = (attributes: Attributes): Attributes =>
    Object.fromEntries(
      Object.entries(attributes).map(([key, value]) => [
        key,
        value.kind === "graph" ? { ...value, value: renameGraph(value.value, rename) } : value,
      ]),
    );
  return {
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
    attributes: nested(node.attributes),
  };
}

const renameGraph = (graph: Graph, rename: (name: string) => string): Graph => ({
  ...graph,
  nodes: graph.nodes.map((node) => renameNode(node, rename)),
  outputs: graph.outputs.map((output) => ({ ...output, name: rename(output.name) })),
});

/** Every name of a graph, without those inside of branches. */
const namesOf = ({ inputs, initializers, nodes }: Graph): string[] => [
  ...inputs.map(({ name }) => name),
  ...initializers.keys(),
  ...nodes.flatMap(({ outputs }) => outputs),
];
