import { isFloat, toNumbers } from "../../../base/index.js";
import { attr, type AttributeReader, findDType } from "../../ir/index.js";
import type { Emitter, Val } from "../emit.js";
import { SELU_ALPHA, SELU_GAMMA } from "../kernel/elementwise.js";
import type { GradientRule } from "./rule.js";
import { equalMask, type Obstacle, positiveMask, unsupported } from "./terms.js";

interface UnaryContext {
  readonly emit: Emitter;
  readonly X: Val;
  readonly Y: Val;
  readonly dY: Val;
  readonly attributes: AttributeReader;
}
type UnaryRule = GradientRule<"Abs">;

/** A map of one input named X: `write` gives dX. */
const unary =
  (write: (context: UnaryContext) => Val): UnaryRule =>
  ({ emit, attributes, dY, inputs: { X }, outputs }) => ({
    X: () => write({ emit, X, Y: outputs[0]!, dY, attributes }),
  });

const square = (emit: Emitter, a: Val): Val => emit.mul(a, a);
/** 1 − a. */
const complement = (emit: Emitter, a: Val): Val => emit.sub(emit.scalar(1, a), a);
const call = (emit: Emitter, op: string, a: Val): Val => emit.node(op, [a])[0];
/** ½ + ½a for a within [−1, 1]: in one pass where the op for that exists. */
const halfPlusHalf = (emit: Emitter, a: Val): Val =>
  a.dtype === "float32"
    ? emit.node("HardSigmoid", [a], { alpha: attr.float(0.5), beta: attr.float(0.5) })[0]
    : emit.mul(emit.add(a, 1), 0.5);

export const abs = unary(({ emit, X, dY }) => emit.mul(dY, emit.sign(X)));
export const cos = unary(({ emit, X, dY }) => emit.neg(emit.mul(dY, call(emit, "Sin", X))));
export const sin = unary(({ emit, X, dY }) => emit.mul(dY, call(emit, "Cos", X)));
export const sinh = unary(({ emit, X, dY }) => emit.mul(dY, call(emit, "Cosh", X)));
export const cosh = unary(({ emit, X, dY }) => emit.mul(dY, call(emit, "Sinh", X)));
export const tan = unary(({ emit, Y, dY }) => emit.mul(dY, emit.add(square(emit, Y), 1)));
/** (1 − x²)^−½, and its negative. */
export const asin = unary(({ emit, X, dY }) => emit.div(dY, emit.sqrt(complement(emit, square(emit, X)))));
export const acos = unary(({ emit, X, dY }) => emit.neg(emit.div(dY, emit.sqrt(complement(emit, square(emit, X))))));
export const atan = unary(({ emit, X, dY }) => emit.div(dY, emit.add(square(emit, X), 1)));
export const asinh = unary(({ emit, X, dY }) => emit.div(dY, emit.sqrt(emit.add(square(emit, X), 1))));
export const acosh = unary(({ emit, X, dY }) => emit.div(dY, emit.sqrt(emit.sub(square(emit, X), 1))));
export const atanh = unary(({ emit, X, dY }) => emit.div(dY, complement(emit, square(emit, X))));
/** 2/√π · e^(−x²). */
export const erf = unary(({ emit, X, dY }) =>
  emit.mul(dY, emit.mul(emit.exp(emit.neg(square(emit, X))), 2 / Math.sqrt(Math.PI))),
);
export const exp = unary(({ emit, Y, dY }) => emit.mul(dY, Y));
export const log = unary(({ emit, X, dY }) => emit.div(dY, X));
export const neg = unary(({ emit, dY }) => emit.neg(dY));
export const reciprocal = unary(({ emit, Y, dY }) => emit.neg(emit.mul(dY, square(emit, Y))));
export const sqrt = unary(({ emit, Y, dY }) => emit.div(emit.mul(dY, 0.5), Y));
export const identity = unary(({ dY }) => dY);

/** Read off Y, so that X need not be kept. */
export const relu = unary(({ emit, Y, dY }) => emit.mul(dY, positiveMask(emit, Y)));
export const sigmoid = unary(({ emit, Y, dY }) => emit.mul(dY, emit.mul(Y, complement(emit, Y))));
export const tanh = unary(({ emit, Y, dY }) => emit.mul(dY, complement(emit, square(emit, Y))));
export const softplus = unary(({ emit, X, dY }) => emit.mul(dY, emit.sigmoid(X)));
/** (1 + |x|)^−2. */
export const softsign = unary(({ emit, X, dY }) => emit.div(dY, square(emit, emit.add(emit.abs(X), 1))));

/** α where the ramp αx + β lies inside (0, 1), that is where y·(1 − y) > 0. */
export const hardSigmoid = unary(({ emit, Y, dY, attributes }) => {
  const inside = positiveMask(emit, emit.mul(Y, complement(emit, Y)));
  return emit.mul(emit.mul(dY, inside), attributes.float("alpha", 0.2));
});

/** x·ramp(x) with ramp = clamp(x/6 + ½): ramp + x/6 where |x| < 3. */
export const hardSwish = unary(({ emit, X, dY }) => {
  const ramp = emit.min(emit.max(emit.add(emit.div(X, 6), 0.5), 0), 1);
  const inside = positiveMask(emit, emit.sub(emit.scalar(3, X), emit.abs(X)));
  return emit.mul(dY, emit.add(ramp, emit.mul(emit.div(X, 6), inside)));
});

/** y = x·t, t = tanh(softplus(x)): t + x·(1 − t²)·σ(x). */
export const mish = unary(({ emit, X, dY }) => {
  const t = emit.tanh(call(emit, "Softplus", X));
  const slope = emit.mul(complement(emit, square(emit, t)), emit.sigmoid(X));
  return emit.mul(dY, emit.add(t, emit.mul(X, slope)));
});

/** α·eˣ = y + α below zero. */
export const elu = unary(({ emit, X, Y, dY, attributes }) => {
  const below = emit.mul(dY, emit.add(Y, attributes.float("alpha", 1)));
  return emit.where(emit.greater(X, 0), dY, below);
});

/** e^(x/α) = y/α + 1 below zero. */
export const celu = unary(({ emit, X, Y, dY, attributes }) => {
  const below = emit.mul(dY, emit.add(emit.div(Y, attributes.float("alpha", 1)), 1));
  return emit.where(emit.greater(X, 0), dY, below);
});

/** γ above zero, γα·eˣ = y + γα below. */
export const selu = unary(({ emit, X, Y, dY, attributes }) => {
  const [alpha, gamma] = [attributes.float("alpha", SELU_ALPHA), attributes.float("gamma", SELU_GAMMA)];
  return emit.where(emit.greater(X, 0), emit.mul(dY, gamma), emit.mul(dY, emit.add(Y, alpha * gamma)));
});

export const thresholdedRelu = unary(({ emit, X, dY, attributes }) =>
  emit.mul(dY, positiveMask(emit, emit.sub(X, attributes.float("alpha", 1)))),
);

/** 1 outside of [−λ, λ]. */
export const shrink: GradientRule<"Shrink"> = ({ emit, attributes, dY, inputs: { input } }) => ({
  input: () => emit.mul(dY, positiveMask(emit, emit.sub(emit.abs(input), attributes.float("lambd", 0.5)))),
});

export const leakyRelu = unary(({ emit, X, dY, attributes }) =>
  emit.where(emit.greater(X, 0), dY, emit.mul(dY, attributes.float("alpha", 0.01))),
);

/**
 * Exact form x·Φ(x): Φ + x·φ. Tanh form ½x(1 + t), t = tanh(u), u = √(2/π)(x + 0.044715x³): ½(1 + t) + ½x(1 − t²)·u′.
 * Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.
 */
export const gelu = unary(({ emit, X, dY, attributes }) => {
  if (attributes.string("approximate", "none") === "none") {
    const scaled = emit.mul(X, Math.SQRT1_2);
    const cumulative = halfPlusHalf(emit, call(emit, "Erf", scaled));
    const logPeak = emit.scalar(-Math.log(2 * Math.PI) / 2, X);
    const density = emit.exp(emit.sub(logPeak, square(emit, scaled)));
    return emit.mul(dY, emit.add(cumulative, emit.mul(X, density)));
  }
  const scale = Math.sqrt(2 / Math.PI);
  const x2 = square(emit, X);
  const t = emit.tanh(emit.mul(X, emit.add(emit.mul(x2, scale * 0.044715), scale)));
  const slope = emit.mul(complement(emit, square(emit, t)), emit.add(emit.mul(x2, scale * 3 * 0.044715), scale));
  return emit.mul(dY, emit.mul(emit.add(emit.add(t, 1), emit.mul(X, slope)), 0.5));
});

/**
 * Flows strictly between the borders, as through `torch.nn.ReLU6`; read off the output, so that the input need not be kept.
 * (y - min)·(max - y) > 0 there, and 0 on both borders.
 */
export const clip: GradientRule<"Clip"> = ({ emit, dY, inputs: { input, min, max }, outputs }) => ({
  input: () => {
    const y = outputs[0]!;
    const above = min && (Number(emit.constantOf(min)?.data[0]) === 0 ? y : emit.sub(y, min));
    const below = max && emit.sub(max, y);
    const inside = above && below ? emit.mul(above, below) : (above ?? below);
    return inside ? emit.mul(dY, positiveMask(emit, inside)) : dY;
  },
  min: min ? () => emit.where(emit.less(input, min), dY, 0) : null,
  max: max ? () => emit.where(emit.greater(input, max), dY, 0) : null,
});

export const cast: GradientRule<"Cast"> = ({ emit, dY, inputs: { input } }) => ({
  input: () => emit.cast(dY, input.dtype),
});

/** A cast to whole numbers or truth values ends the flow. */
export const castObstacle: Obstacle = (attributes) => {
  const to = findDType(attributes.int("to", 0));
  return to === undefined || isFloat(to) || to.endsWith("float16") ? undefined : `to = ${to}`;
};

export const castLike: GradientRule<"CastLike"> = ({ emit, dY, inputs: { input } }) => ({
  input: () => emit.cast(dY, input.dtype),
  target_type: null,
});

/** In inference mode the identity. */
export const dropout: GradientRule<"Dropout"> = ({ emit, node, dY, inputs: { training_mode: training } }) => ({
  data: () => {
    const known = emit.constantOf(training);
    if (training && (!known || toNumbers(known)[0] !== 0))
      throw unsupported(node, "training_mode false", "true or a computed value");
    return dY;
  },
  ratio: null,
  training_mode: null,
});

export const add: GradientRule<"Add"> = ({ dY }) => ({ A: () => dY, B: () => dY });
export const sub: GradientRule<"Sub"> = ({ emit, dY }) => ({ A: () => dY, B: () => emit.neg(dY) });
export const mul: GradientRule<"Mul"> = ({ emit, dY, inputs: { A, B } }) => ({
  A: () => emit.mul(dY, B),
  B: () => emit.mul(dY, A),
});
export const div: GradientRule<"Div"> = ({ emit, dY, inputs: { B }, outputs }) => ({
  A: () => emit.div(dY, B),
  B: () => emit.neg(emit.div(emit.mul(dY, outputs[0]!), B)),
});

/** a^b: b·a^(b−1) and a^b·ln a; the latter is taken as 0 where a ≤ 0. The exponent may have an element type of its own. */
export const pow: GradientRule<"Pow"> = ({ emit, dY, inputs: { A, B }, outputs }) => ({
  A: () => {
    const known = emit.constantOf(B);
    const exponents = known ? toNumbers(known) : [];
    if (exponents.length === 1 && B.dims.length <= A.dims.length) {
      const exponent = exponents[0]!;
      if (exponent === 1) return dY;
      const power = exponent === 2 ? A : emit.pow(A, exponent - 1);
      return emit.mul(dY, emit.mul(power, exponent));
    }
    const exponent = emit.cast(B, A.dtype);
    return emit.mul(dY, emit.mul(emit.pow(A, emit.sub(exponent, 1)), exponent));
  },
  B: () => emit.cast(emit.where(emit.greater(A, 0), emit.mul(dY, emit.mul(outputs[0]!, emit.log(A))), 0), B.dtype),
});

/** y = a − b·trunc(a/b), so ∂y/∂b = −trunc(a/b) = (y − a)/b. */
export const mod: GradientRule<"Mod"> = ({ emit, dY, inputs: { A, B }, outputs }) => ({
  A: () => dY,
  B: () => emit.mul(dY, emit.div(emit.sub(outputs[0]!, A), B)),
});

export const sum: GradientRule<"Sum"> = ({ dY, inputs: { data } }) => ({ data: data.map(() => () => dY) });
export const mean: GradientRule<"Mean"> = ({ emit, dY, inputs: { data } }) => ({
  data: data.map(() => () => emit.div(dY, data.length)),
});

/** Max and Min of several: each winner gets its share; ties split evenly. */
export const extremum: GradientRule<"Max"> & GradientRule<"Min"> = ({ emit, dY, inputs: { data }, outputs }) => {
  const wins = data.map((value) => equalMask(emit, value, outputs[0]!));
  const winners = data.length === 1 ? wins[0]! : emit.node("Sum", wins)[0];
  const share = emit.div(dY, winners);
  return { data: wins.map((win) => () => emit.mul(share, win)) };
};

export const pRelu: GradientRule<"PRelu"> = ({ emit, dY, inputs: { X, slope } }) => ({
  X: () => emit.where(emit.greater(X, 0), dY, emit.mul(dY, slope)),
  slope: () => emit.mul(dY, emit.min(X, 0)),
});

export const where: GradientRule<"Where"> = ({ emit, dY, inputs: { condition } }) => ({
  condition: null,
  X: () => emit.where(condition, dY, 0),
  Y: () => emit.where(condition, emit.scalar(0, dY), dY),
});

export const modObstacle: Obstacle = (attributes) =>
  attributes.int("fmod", 0) === 1 ? undefined : "fmod = 0 (whole numbers)";
