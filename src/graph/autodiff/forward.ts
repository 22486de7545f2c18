import { attributesOf, type Graph, type Node } from "../ir/index.js";
import { type Choose, convGeometry, type Emitter, formulateForward, type Val } from "../ops/index.js";

/**
 * Writes trained convolutions in the formulation chosen for each; most stay as they are. Values keep their names, so that
 * gradients may be derived from the graph as it was.
 */
export function formulateConvolutions(
  graph: Graph,
  parameters: ReadonlySet<string>,
  emit: Emitter,
  choose?: Choose,
): Graph {
  const nodes = graph.nodes.flatMap((node) => {
    if (node.op !== "Conv" || node.domain !== "" || !parameters.has(node.inputs[1]!)) return [node];
    return formulateNode(graph, node, emit, choose) ?? [node];
  });
  return { ...graph, nodes, types: new Map([...graph.types, ...emit.types]) };
}

function formulateNode(graph: Graph, node: Node, emit: Emitter, choose: Choose | undefined): Node[] | undefined {
  const [X, W, B] = node.inputs.map((name) => valueOf(graph, emit, name));
  if (!X || !W) return undefined;
  const attributes = attributesOf(node);
  const geometry = convGeometry(attributes, X.dims, W.dims);
  const layer = { geometry, group: attributes.int("group", 1), X, W, isConstant: false };
  const result = formulateForward(emit, layer, choose);
  if (!result) return undefined;
  if (B) emit.add(result, emit.perChannel(B, result.dims.length));
  const written = emit.drain();
  const last = written.pop()!; // takes the name of the value that it replaces
  return [...written, { ...last, outputs: [node.outputs[0]!] }];
}

function valueOf(graph: Graph, emit: Emitter, name: string): Val | undefined {
  const type = graph.initializers.get(name) ?? graph.types.get(name) ?? graph.inputs.find((v) => v.name === name);
  return type?.dims?.every((d) => typeof d === "number") ? emit.value(name, type) : undefined;
}
