import { toNumbers } from "../../../base/index.js";
import type { Emitter, Val } from "../emit.js";
import { mixesOf, resolveAxes } from "../kernel/resize.js";
import type { ReferenceTensor } from "../rule.js";
import { applyTransposed } from "./axis-map.js";
import type { GradientContext, GradientRule } from "./rule.js";
import { type Obstacle, unsupported } from "./terms.js";

/** Every interpolation is linear and separable, so the gradient is the adjoint of the reference kernel's map, axis by axis. */
export const resize: GradientRule<"Resize"> = (context) => ({
  X: () => {
    const { emit, attributes, dY, inputs } = context;
    const known = (name: "roi" | "scales" | "sizes"): ReferenceTensor | undefined =>
      knownTensor(context, name, inputs[name]);
    const axes = resolveAxes(
      { X: inputs.X, roi: known("roi"), scales: known("scales"), sizes: known("sizes") },
      attributes,
    );
    const changed = axes.filter(({ size, output, scale }) => size !== output || scale !== 1);
    return changed.reduce(
      (gradient, axis) => adjoint(emit, gradient, axis.axis, mixesOf(axis, attributes), axis.size),
      dY,
    );
  },
  roi: null,
  scales: null,
  sizes: null,
});

/** Whole-number nearest enlargement repeats each element in place: a reshape and a sum. Any other map is a product with its matrix. */
function adjoint(emit: Emitter, dY: Val, axis: number, mixes: ReturnType<typeof mixesOf>, size: number): Val {
  const copies = mixes.length / size;
  const repeats = mixes.every((mix, o) => mix.length === 1 && mix[0]![0] === Math.floor(o / copies));
  if (!repeats || !Number.isInteger(copies)) return applyTransposed(emit, dY, axis, mixes, size);
  return emit.reduceSum(emit.reshape(dY, dY.dims.toSpliced(axis, 1, size, copies)), [axis + 1]);
}

function knownTensor(
  { emit, node }: GradientContext<"Resize">,
  name: string,
  value: Val | undefined,
): ReferenceTensor | undefined {
  if (!value) return undefined;
  const constant = emit.constantOf(value);
  if (!constant) throw unsupported(node, `constant ${name}`, "a computed value; fold constants first");
  return { dtype: constant.dtype, dims: constant.dims, data: Float64Array.from(toNumbers(constant)) };
}

export const resizeObstacle: Obstacle = (attributes) => {
  const mode = attributes.string("coordinate_transformation_mode", "half_pixel");
  return mode === "tf_crop_and_resize" ? `coordinate_transformation_mode = ${mode}` : undefined;
};
