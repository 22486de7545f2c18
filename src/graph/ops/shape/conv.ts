import { formatShape } from "../../../base/index.js";
import type { Dim } from "../../ir/index.js";
import { windowOutputs } from "../geometry.js";
import type { ShapeContext, ShapeRule } from "../rule.js";
import { isStatic, mismatch, unknownDims } from "./dims.js";

/** Shapes: X [N, C, …], W [M, C/group, …] → Y [N, M, …]. */
export const conv: ShapeRule = (context) =>
  convLike(context, "forward", (w, group) => ({ input: typeof w[1] === "number" ? w[1] * group : "", output: w[0]! }));

/** Shapes: X [N, C, …], W [C, M/group, …] → Y [N, M, …]. */
export const convTranspose: ShapeRule = (context) =>
  convLike(context, "transposed", (w, group) => ({
    input: w[0]!,
    output: typeof w[1] === "number" ? w[1] * group : "",
  }));

type Channels = (w: readonly Dim[], group: number) => { input: Dim; output: Dim };

function convLike(context: ShapeContext, kind: "forward" | "transposed", channels: Channels): ReturnType<ShapeRule> {
  const [x, w] = context.inputs;
  const { attributes } = context;
  if (!x?.dims || !w?.dims) return x ? [{ dtype: x.dtype, dims: undefined }] : [];
  if (x.dims.length < 3 || w.dims.length !== x.dims.length) {
    throw mismatch(`X [N,C,…] and W of the same rank, got ${formatShape(x.dims)} and ${formatShape(w.dims)}`);
  }
  const group = attributes.int("group", 1);
  const { input, output } = channels(w.dims, group);
  if (typeof input === "number" && typeof x.dims[1] === "number" && input !== x.dims[1]) {
    throw mismatch(`X channels ${input} (W ${formatShape(w.dims)} × group ${group}), got ${formatShape(x.dims)}`);
  }
  if (typeof w.dims[0] === "number" && w.dims[0] % group !== 0) {
    throw mismatch(`W channels that divide into group ${group}, got ${formatShape(w.dims)}`);
  }
  const spatial = x.dims.slice(2);
  const kernel = w.dims.slice(2);
  if (!isStatic(kernel)) return [{ dtype: x.dtype, dims: [x.dims[0]!, output, ...unknownDims(spatial.length)] }];
  const declared = attributes.ints("kernel_shape");
  if (declared && formatShape(declared) !== formatShape(kernel)) {
    throw mismatch(`kernel_shape ${formatShape(kernel)} as in W, got ${formatShape(declared)}`);
  }
  const sizes = windowOutputs(kind, attributes, spatial, kernel);
  checkWindow(sizes, spatial, kernel);
  return [{ dtype: x.dtype, dims: [x.dims[0]!, output, ...sizes] }];
}

/** Refuses a window that does not fit into its padded input. */
export function checkWindow(sizes: readonly Dim[], spatial: readonly Dim[], kernel: readonly number[]): void {
  if (sizes.some((size) => typeof size === "number" && size < 1)) {
    throw mismatch(
      `a kernel no larger than the padded input, got kernel ${formatShape(kernel)} on ${formatShape(spatial)}`,
    );
  }
}
