import type { AttributeReader, Node } from "../../ir/index.js";
import type { InputsOf, OpType, PerInput } from "../catalog.js";
import type { Emitter, Val } from "../emit.js";
import type { Choose } from "./conv/decision.js";

/**
 * The gradient of one op, graph to graph.
 *
 * A rule names every input: a thunk that writes the nodes of that gradient, or `null` for "no gradient, on purpose"
 * (indices, shapes, fixed statistics). Thunks of inputs that nobody trains are never called, so they cost no nodes.
 * A thunk may return the gradient in the broadcast shape of the output: the builder undoes broadcasting.
 */
export interface GradientContext<K extends OpType> {
  readonly emit: Emitter;
  readonly node: Node;
  readonly attributes: AttributeReader;
  /** Inputs by their names in the specification. */
  readonly inputs: InputsOf<K, Val>;
  /** Outputs in order; undefined where the node leaves one out. */
  readonly outputs: readonly (Val | undefined)[];
  /** Gradient of the loss with respect to the first output. */
  readonly dY: Val;
  /** Gradients of all outputs in order; undefined where the loss does not depend on one. */
  readonly dOutputs: readonly (Val | undefined)[];
  /** Picks among formulations of a convolution's gradients; default: the built-in rules. */
  readonly choose?: Choose | undefined;
}

export type Thunk = () => Val;
export type GradientRule<K extends OpType> = (
  context: GradientContext<K>,
) => PerInput<K, Thunk | null, readonly (Thunk | null)[]>;

/**
 * `"not-differentiable"`: piecewise constant or an index; the gradient is zero or has no meaning, and flow stops.
 * `"shape-only"`: reads only the shape of its input. `"unsupported"`: has a gradient that nobody wrote yet.
 */
export type NoGradient = "not-differentiable" | "shape-only" | "unsupported";
export type GradientTable = { readonly [K in OpType]: GradientRule<K> | NoGradient };
