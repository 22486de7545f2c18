import { isLimberError, LimberError } from "../../../base/index.js";
import type { TensorType } from "../../ir/index.js";
import type { OpType } from "../catalog.js";
import type { ShapeContext } from "../rule.js";
import { shapeTable } from "./index.js";

/**
 * Types of the outputs of one node; empty when the op has no shape rule.
 * Throws: `shape.mismatch`, naming the op and the node.
 */
export function inferNode(op: OpType, context: ShapeContext): readonly (TensorType | undefined)[] {
  const rule = shapeTable[op];
  if (rule === "unsupported") return [];
  try {
    return rule(context);
  } catch (error) {
    if (!isLimberError(error, "shape.mismatch") || "node" in error.context) throw error;
    const name = context.node.name || context.node.outputs[0];
    throw new LimberError(error.code, `${op} "${name}": ${error.message}`, { ...error.context, op, node: name });
  }
}
