import { formatShape } from "../../../base/index.js";
import type { Dim } from "../../ir/index.js";
import { windowOutputs } from "../geometry.js";
import type { ShapeContext, ShapeRule } from "../rule.js";
import { checkWindow } from "./conv.js";
import { constantNumbers, fromFirst, isPresent, mismatch, unknownDims } from "./dims.js";

function poolDims(dims: readonly Dim[], { attributes }: ShapeContext): readonly Dim[] {
  const kernel = attributes.ints("kernel_shape");
  if (!kernel || dims.length !== kernel.length + 2) {
    throw mismatch(
      `kernel_shape with one entry per spatial axis of ${formatShape(dims)}, got ${kernel ? formatShape(kernel) : "none"}`,
    );
  }
  const sizes = windowOutputs("forward", attributes, dims.slice(2), kernel);
  checkWindow(sizes, dims.slice(2), kernel);
  return [...dims.slice(0, 2), ...sizes];
}

export const averagePool: ShapeRule = fromFirst(poolDims);

/** The second output holds flat indices of the maxima. */
export const maxPool: ShapeRule = (context) => {
  const [values] = averagePool(context);
  return [values, values && { dtype: "int64", dims: values.dims }];
};

/** The given shape, or the smallest image whose windows give X. */
export const maxUnpool: ShapeRule = fromFirst((dims, context) => {
  if (isPresent(context, 2)) return constantNumbers(context, 2) ?? unknownDims(dims.length);
  const kernel = context.attributes.ints("kernel_shape");
  if (!kernel || dims.length !== kernel.length + 2)
    throw mismatch(`kernel_shape with one entry per spatial axis of ${formatShape(dims)}`);
  const strides = context.attributes.ints("strides") ?? kernel.map(() => 1);
  const pads = context.attributes.ints("pads") ?? kernel.flatMap(() => [0, 0]);
  const sizes = dims.slice(2).map((size, i) => {
    if (typeof size !== "number") return "";
    return (size - 1) * strides[i]! + kernel[i]! - pads[i]! - pads[i + kernel.length]!;
  });
  return [...dims.slice(0, 2), ...sizes];
});

/** Shapes: [N, C, …] → [N, C, 1, …]. */
export const globalPool: ShapeRule = fromFirst((dims) => dims.map((d, i) => (i < 2 ? d : 1)));
