import { type Dim, findDType, type TensorType } from "../../ir/index.js";
import { normalizeAxis, resolveSlice } from "../geometry.js";
import type { ShapeRule } from "../rule.js";
import { constantNumbers, fromFirst, lengthOf, mismatch, unknownDims } from "./dims.js";

export const constant: ShapeRule = ({ attributes }) => {
  const value = attributes.tensor("value");
  if (value) return [{ dtype: value.dtype, dims: value.dims }];
  const floats = attributes.floats("value_floats");
  if (floats) return [{ dtype: "float32", dims: [floats.length] }];
  const ints = attributes.ints("value_ints");
  if (ints) return [{ dtype: "int64", dims: [ints.length] }];
  return [{ dtype: attributes.has("value_float") ? "float32" : "int64", dims: [] }];
};

export const constantOfShape: ShapeRule = (context) => {
  const rank = lengthOf(context.inputs[0]);
  const dims = constantNumbers(context, 0) ?? (rank === undefined ? undefined : unknownDims(rank));
  return [{ dtype: context.attributes.tensor("value")?.dtype ?? "float32", dims }];
};

/** A one-dimensional tensor with the sizes from `start` to `end`. */
export const shape: ShapeRule = ({ inputs, attributes }) => {
  const rank = inputs[0]?.dims?.length;
  const length = (size: number): number =>
    resolveSlice(size, attributes.int("start", 0), attributes.int("end", size), 1).length;
  return [{ dtype: "int64", dims: [rank === undefined ? "" : length(rank)] }];
};

export const size: ShapeRule = () => [{ dtype: "int64", dims: [] }];

export const range: ShapeRule = (context) => {
  const [start, limit, delta] = [0, 1, 2].map((i) => constantNumbers(context, i)?.[0]);
  if (delta === 0) throw mismatch("a delta other than 0, got 0");
  const known = start !== undefined && limit !== undefined && delta !== undefined;
  const length = known ? Math.max(0, Math.ceil((limit - start) / delta)) : "";
  const [first] = context.inputs;
  return first ? [{ dtype: first.dtype, dims: [length] }] : [];
};

/** Ones on a diagonal of a matrix of the same shape. */
export const eyeLike: ShapeRule = ({ inputs: [x], attributes }) =>
  x ? [{ dtype: findDType(attributes.int("dtype", 0)) ?? x.dtype, dims: x.dims }] : [];

/** The new axis has the size of `depth`; the element type is that of `values`. */
export const oneHot: ShapeRule = (context) => {
  const values = context.inputs[2];
  if (!values) return [];
  const depth: Dim = constantNumbers(context, 1)?.[0] ?? "";
  const [hot]: readonly (TensorType | undefined)[] = fromFirst((dims, { attributes }) => {
    const axis = normalizeAxis(attributes.int("axis", -1), dims.length + 1);
    return [...dims.slice(0, axis), depth, ...dims.slice(axis)];
  }, values.dtype)(context);
  return [hot];
};
