import { attributesOf, descendantsOf, type Graph, type Node, producersOf } from "../ir/index.js";
import type { Emitter } from "../ops/index.js";

/** Nodes written a second time, and where each of their values now is. */
export interface ForwardCopy {
  readonly nodes: readonly Node[];
  /** The name, in the copy, of a value of the original; values that do not change keep theirs. */
  nameOf(name: string): string;
}

/**
 * Writes what depends on some values once more, for others of the same types in their place; the rest is shared.
 *
 * What is detached in the original is detached in the copy.
 */
export function copyForward(graph: Graph, substitutes: ReadonlyMap<string, string>, emit: Emitter): ForwardCopy {
  const affected = descendantsOf(graph, substitutes.keys());
  const producers = producersOf(graph);
  const copied = new Set(
    graph.nodes.filter(({ outputs }) => outputs.some((name) => affected.has(name) && !substitutes.has(name))),
  );
  // ONNX Runtime may write the statistics of a batch over these inputs, so each such node has its own.
  for (const node of [...copied])
    if (attributesOf(node).int("training_mode", 0) === 1)
      for (const name of node.inputs.slice(3)) if (producers.has(name)) copied.add(producers.get(name)!);
  const names = new Map(substitutes);
  const outputs = new Map(graph.outputs.map((output) => [output.name, output]));
  const nodes = graph.nodes.flatMap((node): Node[] => {
    if (!copied.has(node)) return [];
    for (const name of node.outputs) {
      if (name === "") continue;
      const copy = emit.freshName(name);
      names.set(name, copy);
      const type = graph.types.get(name) ?? emit.types.get(name) ?? outputs.get(name);
      if (type) emit.types.set(copy, { dtype: type.dtype, dims: type.dims });
      if (emit.detached.has(name)) emit.detached.add(copy);
    }
    const rename = (name: string): string => names.get(name) ?? name;
    return [
      { ...node, name: emit.freshName(node.name), inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) },
    ];
  });
  return { nodes, nameOf: (name) => names.get(name) ?? name };
}
