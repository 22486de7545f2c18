import { convGeometry, convTransposeGeometry } from "../geometry.js";
import { formulate } from "./conv/decision.js";
import { type Convolution, cropSpatial, spatial, windowAttributes } from "./conv/window.js";
import type { GradientRule } from "./rule.js";

/** Shapes: X [N, C, …S], W [M, C/group, …K], B [M], dY [N, M, …O]. */
export const conv: GradientRule<"Conv"> = ({ emit, attributes, dY, inputs: { X, W }, choose }) => {
  const convolution = {
    geometry: convGeometry(attributes, X.dims, W.dims),
    group: attributes.int("group", 1),
    isConstant: emit.constantOf(W) !== undefined,
    X,
    W,
    dY,
  };
  return {
    X: () => formulate(emit, "input", convolution, choose),
    W: () => formulate(emit, "weight", convolution, choose),
    B: () => emit.sumToChannel(dY),
  };
};

/**
 * The adjoint of a convolution: dX is that convolution of dY, and W's gradient that of a convolution from dY to X.
 * Shapes: X [N, C, …S], W [C, M/group, …K], B [M], dY [N, M, …O].
 */
export const convTranspose: GradientRule<"ConvTranspose"> = ({ emit, attributes, dY, inputs: { X, W }, choose }) => {
  const group = attributes.int("group", 1);
  const geometry = { ...convTransposeGeometry(attributes, X.dims, W.dims), output: spatial(X) };
  const convolution: Convolution = { geometry, group, isConstant: false, X: dY, W, dY: X };
  return {
    X: () => cropSpatial(emit, emit.node("Conv", [dY, W], windowAttributes(geometry, group))[0], spatial(X)),
    W: () => formulate(emit, "weight", convolution, choose),
    B: () => emit.sumToChannel(dY),
  };
};
