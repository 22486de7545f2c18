import type { Tensor } from "../../base/index.js";
import type { AttributeReader, Node, TensorType } from "../ir/index.js";
import type { OpTable } from "./catalog.js";

/** What every rule may look at. */
interface RuleContext {
  readonly node: Node;
  readonly attributes: AttributeReader;
  /** Version of the standard domain: some attributes became inputs over time. */
  readonly opset: number;
}

/** Shapes flow forward. An unknown type is `undefined`; an unknown axis is a name or `""`. */
export interface ShapeContext extends RuleContext {
  readonly inputs: readonly (TensorType | undefined)[];
  /** The value of an input when it is known before running. */
  constant(index: number): Tensor | undefined;
}
/** Types of the outputs, in order. Throws `shape.mismatch` when inputs cannot fit together. */
export type ShapeRule = (context: ShapeContext) => readonly (TensorType | undefined)[];
export type ShapeTable = OpTable<ShapeRule, "unsupported">;

/**
 * A tensor of the reference interpreter: every element is a double whatever the element type,
 * so "float32" graphs are evaluated in float64 and int64 values are exact below 2^53.
 */
export interface ReferenceTensor {
  readonly dtype: Tensor["dtype"];
  readonly dims: readonly number[];
  readonly data: Float64Array;
}
export interface KernelContext extends RuleContext {
  readonly inputs: readonly (ReferenceTensor | undefined)[];
}
/** The slow, obvious float64 meaning of an op: one tensor per output of the node. */
export type Kernel = (context: KernelContext) => readonly ReferenceTensor[];
export type KernelTable = OpTable<Kernel, "unsupported">;

export interface CostContext extends RuleContext {
  readonly inputs: readonly (readonly number[] | undefined)[];
  readonly outputs: readonly (readonly number[] | undefined)[];
}
/** Multiply-accumulates of one call. Ops that only move or map elements count 0, as the field does. */
export type CostRule = (context: CostContext) => number;
export type CostTable = OpTable<CostRule, "free">;
