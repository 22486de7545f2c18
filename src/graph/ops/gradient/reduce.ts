import { sizeOf } from "../../../base/index.js";
import { attr } from "../../ir/index.js";
import type { OpType } from "../catalog.js";
import type { Emitter, Val } from "../emit.js";
import type { GradientContext, GradientRule } from "./rule.js";
import { equalMask, reducedAxes, unsupported, zerosLike } from "./terms.js";

interface ReduceContext {
  readonly emit: Emitter;
  readonly X: Val;
  readonly axes: readonly number[];
  /** Y and dY with the reduced axes kept as 1, ready to broadcast against X. */
  readonly Y: Val;
  readonly dY: Val;
}
type ReduceOp = Extract<OpType, `Reduce${string}`>;
type ReduceRule = GradientRule<ReduceOp>;

/** A reduction: `write` gives dX in any shape that broadcasts to that of X. */
const reduction =
  (write: (context: ReduceContext) => Val): ReduceRule =>
  (context: GradientContext<ReduceOp>) => ({
    data: () => {
      const { emit, dY, outputs, inputs } = context;
      const axes = reducedAxes(context, inputs.data, inputs.axes);
      const kept = inputs.data.dims.map((d, i) => (axes.includes(i) ? 1 : d));
      const X = inputs.data;
      return emit.expand(
        write({ emit, X, axes, Y: emit.reshape(outputs[0]!, kept), dY: emit.reshape(dY, kept) }),
        X.dims,
      );
    },
    axes: null,
  });

export const reduceSum = reduction(({ dY }) => dY);
export const reduceMean = reduction(({ emit, X, Y, dY }) => emit.div(dY, sizeOf(X.dims) / sizeOf(Y.dims)));
export const reduceL1 = reduction(({ emit, X, dY }) => emit.mul(dY, emit.sign(X)));
export const reduceSumSquare = reduction(({ emit, X, dY }) => emit.mul(emit.mul(X, 2), dY));
export const reduceLogSumExp = reduction(({ emit, X, Y, dY }) => emit.mul(dY, emit.exp(emit.sub(X, Y))));
export const reduceLogSum = reduction(({ emit, Y, dY }) => emit.mul(dY, emit.exp(emit.neg(Y))));
/** x/‖x‖, and 0 at the origin. */
export const reduceL2 = reduction(({ emit, X, Y, dY }) =>
  emit.mul(X, emit.div(dY, emit.where(emit.equal(Y, 0), emit.scalar(1, Y), Y))),
);

/** Each element that reaches the extremum; ties share evenly. */
export const reduceExtremum = reduction(({ emit, X, axes, Y, dY }) => {
  const wins = equalMask(emit, X, Y);
  return emit.mul(wins, emit.div(dY, emit.reduceSum(wins, axes, true)));
});

/** The product of the others, exact with zeros: P/x with zeros taken as 1, and 0 where another element is zero. */
export const reduceProd = reduction(({ emit, X, axes, dY }) => {
  const isZero = equalMask(emit, X, emit.scalar(0, X));
  const nonZero = emit.add(X, isZero);
  const others = emit.div(productOf(emit, nonZero, axes), nonZero);
  const otherZeros = emit.sub(emit.reduceSum(isZero, axes, true), isZero);
  return emit.mul(dY, emit.where(emit.equal(otherZeros, 0), others, 0));
});

function productOf(emit: Emitter, a: Val, axes: readonly number[]): Val {
  const keep = { keepdims: attr.int(1) };
  if (emit.opset >= 18) return emit.node("ReduceProd", [a, emit.ints(axes)], keep)[0];
  return emit.node("ReduceProd", [a], { ...keep, axes: attr.ints(axes) })[0];
}

/** The same sum from the other end. */
export const cumSum: GradientRule<"CumSum"> = ({ emit, attributes, dY, inputs: { axis } }) => ({
  x: () => {
    const exclusive = attr.int(attributes.int("exclusive", 0));
    return emit.node("CumSum", [dY, axis], {
      exclusive,
      reverse: attr.int(attributes.int("reverse", 0) === 1 ? 0 : 1),
    })[0];
  },
  axis: null,
});

/** Back to the places that the values came from. */
export const topK: GradientRule<"TopK"> = ({ emit, node, attributes, dY, inputs: { X }, outputs }) => ({
  X: () => {
    const indices = outputs[1];
    if (!indices) throw unsupported(node, "output Indices", "none");
    return emit.node("ScatterElements", [zerosLike(emit, X), indices, dY], {
      axis: attr.int(attributes.int("axis", -1)),
    })[0];
  },
  K: null,
});
