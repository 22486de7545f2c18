import { LimberError, toNumbers } from "../../../base/index.js";
import type { AttributeReader, Node } from "../../ir/index.js";
import type { OpType } from "../catalog.js";
import { attr } from "../../ir/index.js";
import type { Emitter, Val } from "../emit.js";
import { normalizeAxis } from "../geometry.js";
import type { GradientContext } from "./rule.js";

/** Says why the gradient of a node in this form is not there, or undefined when it is. Decided from attributes alone. */
export type Obstacle = (attributes: AttributeReader) => string | undefined;
export type ObstacleTable = { readonly [K in OpType]?: Obstacle };

export function unsupported(node: Node, expectation: string, got: string): LimberError {
  const message = `gradient of ${node.op} "${node.name}": ${expectation}, got ${got}`;
  return new LimberError("op.unsupported", message, { op: node.op, node: node.name });
}

/** Refuses gradients that arrive at any output but the first. */
export function firstOutputOnly({ node, dOutputs }: Pick<GradientContext<OpType>, "node" | "dOutputs">): void {
  const index = dOutputs.findIndex((d, i) => i > 0 && d !== undefined);
  if (index > 0)
    throw unsupported(node, "a loss that depends on the first output only", `output ${index} "${node.outputs[index]}"`);
}

/** The numbers of an input that decides the form of the gradient (axes, starts). Throws: `op.unsupported` when computed at run time. */
export function knownInts(
  { emit, node }: Pick<GradientContext<OpType>, "emit" | "node">,
  name: string,
  value: Val,
): number[] {
  const constant = emit.constantOf(value);
  if (!constant) throw unsupported(node, `constant ${name}`, "a computed value; fold constants first");
  return toNumbers(constant);
}

/** Writes a shared term at its first use only. */
export function once(write: () => Val): () => Val {
  let value: Val | undefined;
  return () => (value ??= write());
}

export const zerosLike = (emit: Emitter, like: Val): Val => emit.expand(emit.scalar(0, like), like.dims);

/**
 * 1 where x > 0, else 0. For float32 in one parallel kernel: a steep ramp clamped to [0, 1].
 * Differs: the ramp is below 1 for 0 < x < 1e-38, which no float32 network resolves.
 */
export function positiveMask(emit: Emitter, x: Val): Val {
  if (x.dtype !== "float32") return emit.cast(emit.greater(x, 0), x.dtype);
  return emit.node("HardSigmoid", [x], { alpha: attr.float(1e38), beta: attr.float(0) })[0];
}

/** 1 where a equals b, else 0, in the element type of b. */
export const equalMask = (emit: Emitter, a: Val, b: Val): Val => emit.cast(emit.equal(a, b), b.dtype);

/** Axes from the attribute or, in newer opsets, from the input; all of them when neither is given. */
export function reducedAxes(
  context: Pick<GradientContext<OpType>, "emit" | "node" | "attributes">,
  data: Val,
  axes: Val | undefined,
): number[] {
  const given = axes ? knownInts(context, "axes", axes) : (context.attributes.ints("axes") ?? []);
  if (given.length > 0) return given.map((axis) => normalizeAxis(axis, data.dims.length));
  return context.attributes.int("noop_with_empty_axes", 0) === 1 ? [] : data.dims.map((_, i) => i);
}
