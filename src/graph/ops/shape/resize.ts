import { formatShape } from "../../../base/index.js";
import type { Dim } from "../../ir/index.js";
import { normalizeAxis } from "../geometry.js";
import type { ShapeContext, ShapeRule } from "../rule.js";
import { constantNumbers, fromFirst, isPresent, mismatch, unknownDims } from "./dims.js";

/** The output size comes from `sizes`, or from `scales` times the input (times the crop that `roi` takes). */
export const resize: ShapeRule = fromFirst((dims, context) => {
  const axes = (context.attributes.ints("axes") ?? [...dims.keys()]).map((axis) => normalizeAxis(axis, dims.length));
  const name = isPresent(context, 3) ? "sizes" : "scales";
  const given = constantNumbers(context, name === "sizes" ? 3 : 2);
  if (given && given.length !== axes.length) {
    throw mismatch(`${axes.length} ${name} for ${formatShape(dims)}, got ${formatShape(given)}`);
  }
  const chosen = axes.map((axis) => dims[axis]!);
  const resized = given && (name === "sizes" ? fitSizes(chosen, given, context) : scaleDims(chosen, given, context));
  const result = [...dims];
  axes.forEach((axis, i) => (result[axis] = resized?.[i] ?? ""));
  return result;
});

function scaleDims(dims: readonly Dim[], scales: readonly number[], context: ShapeContext): readonly Dim[] | undefined {
  const crops = context.attributes.string("coordinate_transformation_mode", "half_pixel") === "tf_crop_and_resize";
  const roi = crops ? constantNumbers(context, 1) : undefined;
  if (crops && !roi) return undefined;
  return dims.map((dim, i) => {
    const extent = roi ? roi[i + dims.length]! - roi[i]! : 1;
    if (scales[i] === 1 && extent === 1) return dim;
    // The product is rounded to float32 before the floor, as in ONNX Runtime: 10 × 0.7 is 7 although float32(0.7) < 0.7.
    return typeof dim === "number" ? Math.floor(Math.fround(dim * extent * scales[i]!)) : "";
  });
}

/** With an aspect-ratio policy, one common scale fits the sizes from inside or from outside. */
function fitSizes(dims: readonly Dim[], sizes: readonly number[], { attributes }: ShapeContext): readonly Dim[] {
  const policy = attributes.string("keep_aspect_ratio_policy", "stretch");
  if (policy === "stretch") return sizes;
  if (!dims.every((dim) => typeof dim === "number")) return unknownDims(dims.length);
  const ratios = sizes.map((size, i) => size / dims[i]!);
  const scale = policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
  return dims.map((dim) => Math.floor(dim * scale + 0.5));
}
