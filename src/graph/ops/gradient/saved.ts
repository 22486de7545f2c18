import { type AttributeReader, attributesOf, type Node } from "../../ir/index.js";
import { findOpType, type OpType } from "../catalog.js";
import { tilesInput } from "./pool.js";

/**
 * How many outputs a node has when it also gives what its gradient reads and would compute again:
 * statistics of a normalization, positions of maxima. Ops that are not here give their gradient all it needs.
 */
const SAVED: { readonly [K in OpType]?: (attributes: AttributeReader) => number } = {
  LayerNormalization: () => 3,
  MaxPool: (attributes) => (tilesInput(attributes) || attributes.int("storage_order", 0) === 1 ? 1 : 2),
};

/** The outputs that a node on a gradient path should have, at least. */
export function savedOutputs(node: Node): number {
  const type = findOpType(node);
  return (type && SAVED[type]?.(attributesOf(node))) ?? node.outputs.length;
}
