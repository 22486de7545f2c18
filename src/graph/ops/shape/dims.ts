import { type DType, formatShape, LimberError, toNumbers } from "../../../base/index.js";
import type { Dim, TensorType } from "../../ir/index.js";
import type { ShapeContext, ShapeRule } from "../rule.js";

/** The error of a shape rule; `inferNode` puts the op and the node in front of it. */
export const mismatch = (message: string): LimberError => new LimberError("shape.mismatch", message);

export const isStatic = (dims: readonly Dim[]): dims is readonly number[] => dims.every((d) => typeof d === "number");

/** Dimensions of a known rank of which nothing else is known. */
export const unknownDims = (rank: number): Dim[] => Array<Dim>(rank).fill("");

/** The product of dimensions: a single name survives when everything else is 1. */
export function multiplyDims(dims: readonly Dim[]): Dim {
  const known = dims.reduce<number>((n, d) => (typeof d === "number" ? n * d : n), 1);
  const names = dims.filter((d) => typeof d === "string");
  if (names.length === 0 || known === 0) return known;
  return known === 1 && names.length === 1 ? names[0]! : "";
}

/** One axis seen from two places that must agree. */
export function mergeDims(a: Dim, b: Dim, what: string): Dim {
  if (typeof a === "number" && typeof b === "number" && a !== b) throw mismatch(`equal ${what}, got ${a} and ${b}`);
  return typeof a === "number" || b === "" ? a : b;
}

/** Refuses an operand that cannot stretch to a fixed shape. */
export function checkStretches(name: string, from: readonly Dim[] | undefined, to: readonly Dim[] | undefined): void {
  if (!from || !to) return;
  const fits = from.every((d, i) => {
    const target = to[i - from.length + to.length];
    return d === 1 || typeof d === "string" || typeof target === "string" || d === target;
  });
  if (!fits || from.length > to.length) {
    throw mismatch(`${name} that broadcasts to ${formatShape(to)}, got ${formatShape(from)}`);
  }
}

export const isPresent = ({ node }: ShapeContext, index: number): boolean => (node.inputs[index] ?? "") !== "";

/** The elements of a constant input. */
export function constantNumbers(context: ShapeContext, index: number): readonly number[] | undefined {
  const constant = context.constant(index);
  return constant && toNumbers(constant);
}

/** Number of elements of a one-dimensional input, such as a shape that is computed at run time. */
export function lengthOf(type: TensorType | undefined): number | undefined {
  const length = type?.dims?.[0];
  return typeof length === "number" ? length : undefined;
}

type DimsRule = (dims: readonly Dim[], context: ShapeContext) => readonly Dim[] | undefined;

/** A rule for ops with one output whose shape follows from that of the first input; the element type is kept unless given. */
export function fromFirst(rule: DimsRule, dtype?: DType): ShapeRule {
  return (context) => {
    const first = context.inputs[0];
    if (!first) return [];
    return [{ dtype: dtype ?? first.dtype, dims: first.dims && rule(first.dims, context) }];
  };
}

/** The first output has the type of the first input. */
export const sameAsFirst: ShapeRule = ({ inputs }) => [inputs[0]];
