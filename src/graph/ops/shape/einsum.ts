import type { Dim } from "../../ir/index.js";
import { parseEinsum } from "../einsum.js";
import { broadcastDims } from "../geometry.js";
import type { ShapeRule } from "../rule.js";

/** Axes of one label have one size, or 1. */
export const einsum: ShapeRule = ({ inputs, attributes }) => {
  const [first] = inputs;
  const shapes = inputs.flatMap((type) => (type?.dims ? [type.dims] : []));
  if (!first || shapes.length < inputs.length) return first ? [{ dtype: first.dtype, dims: undefined }] : [];
  const { operands, result } = parseEinsum(
    attributes.string("equation", ""),
    shapes.map((dims) => dims.length),
  );
  const sizes = new Map<string, Dim>();
  operands.forEach((labels, k) =>
    labels.forEach((label, i) => sizes.set(label, broadcastDims([sizes.get(label) ?? 1], [shapes[k]![i]!])[0]!)),
  );
  return [{ dtype: first.dtype, dims: result.map((label) => sizes.get(label)!) }];
};
