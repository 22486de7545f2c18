import type { Dim } from "../../ir/index.js";
import { normalizeAxis } from "../geometry.js";
import type { ShapeContext, ShapeRule } from "../rule.js";
import { constantNumbers, fromFirst, isPresent, sameAsFirst, unknownDims } from "./dims.js";

function withoutAxes(dims: readonly Dim[], axes: readonly number[], keepdims: boolean): readonly Dim[] {
  const reduced = new Set(axes.map((axis) => normalizeAxis(axis, dims.length)));
  return dims.flatMap((d, i) => (reduced.has(i) ? (keepdims ? [1] : []) : [d]));
}

/** Axes come as an attribute (before opset 13 or 18, by op) or as an input; none means all, unless `noop_with_empty_axes`. */
export const reduce: ShapeRule = fromFirst((dims, context) => {
  const { attributes } = context;
  const keepdims = attributes.int("keepdims", 1) === 1;
  const axes = isPresent(context, 1) ? constantNumbers(context, 1) : (attributes.ints("axes") ?? []);
  if (!axes) return keepdims ? unknownDims(dims.length) : undefined;
  if (axes.length > 0) return withoutAxes(dims, axes, keepdims);
  return attributes.int("noop_with_empty_axes", 0) === 1 ? dims : withoutAxes(dims, [...dims.keys()], keepdims);
});

export const argReduce: ShapeRule = fromFirst(
  (dims, { attributes }) => withoutAxes(dims, [attributes.int("axis", 0)], attributes.int("keepdims", 1) === 1),
  "int64",
);

export const softmax: ShapeRule = (context) => {
  const rank = context.inputs[0]?.dims?.length;
  if (rank) normalizeAxis(context.attributes.int("axis", -1), rank);
  return sameAsFirst(context);
};

/** The K largest along one axis: values and their indices. */
export const topK: ShapeRule = (context) => {
  const [values] = topValues(context);
  return [values, values && { dtype: "int64", dims: values.dims }];
};

const topValues = fromFirst((dims, context: ShapeContext) => {
  const axis = normalizeAxis(context.attributes.int("axis", -1), dims.length);
  const count = constantNumbers(context, 1)?.[0] ?? "";
  return dims.map((d, i) => (i === axis ? count : d));
});
