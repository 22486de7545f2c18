import type { Model } from "../ir/index.js";
import { bindDims, type Binding } from "./bind.js";
import { Knowledge, opsetOf } from "./knowledge.js";

/**
 * Types of every value that a node defines, from the types of the inputs; shape arithmetic is followed by value.
 * Static when the inputs are: bind open axes by `inputDims` or `batch`. Outputs of ops without a rule keep what the file says.
 * Throws: `shape.mismatch`, naming the node where inputs cannot fit together.
 */
export function inferShapes(model: Model, binding: Binding = {}): Model {
  const bound = bindDims(model, binding);
  const { graph } = bound;
  const knowledge = new Knowledge(graph, opsetOf(bound));
  for (const node of graph.nodes) knowledge.visit(node);
  const typeOf = (name: string) => knowledge.types.get(name);
  const types = new Map(
    graph.nodes.flatMap((node) =>
      node.outputs.flatMap((name) => {
        const type = typeOf(name);
        return type ? [[name, type] as const] : [];
      }),
    ),
  );
  const outputs = graph.outputs.map((output) => ({ ...output, ...typeOf(output.name) }));
  return { ...bound, graph: { ...graph, outputs, types } };
}
