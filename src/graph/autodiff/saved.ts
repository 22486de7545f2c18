import { AttributeReader, descendantsOf, type Graph, type Node, type TensorType } from "../ir/index.js";
import { type Emitter, findOpType, inferNode, savedOutputs } from "../ops/index.js";

/**
 * Lets the nodes that depend on some values give the optional outputs which their gradients read.
 * What the graph computes stays the same; the new values get fresh names, and static types where the inputs have them.
 */
export function exposeSaved(graph: Graph, wrt: readonly string[], emit: Emitter): Graph {
  const active = descendantsOf(graph, wrt);
  const inputs = new Map<string, TensorType>(graph.inputs.map((input) => [input.name, input]));
  const types = new Map(graph.types);
  const nodes = graph.nodes.map((node): Node => {
    const missing = savedOutputs(node) - node.outputs.length;
    if (missing <= 0 || !node.inputs.some((name) => active.has(name))) return node;
    const added = Array.from({ length: missing }, () => emit.freshName(`${node.outputs[0]!}:saved`));
    const exposed = { ...node, outputs: [...node.outputs, ...added] };
    const inferred = inferNode(findOpType(node)!, {
      node: exposed,
      attributes: new AttributeReader(node.attributes, node),
      opset: emit.opset,
      inputs: node.inputs.map((name) => types.get(name) ?? inputs.get(name) ?? graph.initializers.get(name)),
      constant: (i) => graph.initializers.get(node.inputs[i] ?? ""),
    });
    exposed.outputs.forEach((name, i) => {
      const type = inferred[i];
      if (type && added.includes(name)) types.set(name, type);
    });
    return exposed;
  });
  return { ...graph, nodes, types };
}
