import { tensorOf } from "../../../src/base/index.js";
import { attr, DTYPE_CODES } from "../../../src/graph/ir/index.js";
import { type CaseOf, single } from "./draw.js";

export const unary =
  (low = -3, high = 3, opset = 17): CaseOf =>
  (draw) => ({ inputs: [draw.floats(draw.dims(draw.int(0, 4)), low, high)], opset });

export const unaryWith =
  (name: string, values: readonly number[]): CaseOf =>
  (draw) => ({
    inputs: [draw.floats(draw.dims(3))],
    attributes: draw.flag() ? { [name]: attr.float(draw.pick(values)) } : {},
  });

export const hardSigmoid: CaseOf = (draw) => ({
  inputs: [draw.floats([3, 5], -4, 4)],
  attributes: draw.flag() ? { alpha: attr.float(0.3), beta: attr.float(0.4) } : {},
});

export const gelu: CaseOf = (draw) => ({
  inputs: [draw.floats([4, 5], -5, 5)],
  attributes: { approximate: attr.string(draw.pick(["none", "tanh"])) },
  opset: 20,
});

/** Halves decide which rule of rounding holds. */
export const round: CaseOf = (draw) => ({
  inputs: [
    tensorOf(
      "float32",
      [6],
      draw.list(6, () => draw.int(-10, 10) / 2),
    ),
  ],
});

export const not: CaseOf = (draw) => ({ inputs: [draw.bools([3, 2])] });

const specials = tensorOf("float32", [5], [NaN, Infinity, -Infinity, 0, -1]);
export const isNaN: CaseOf = () => ({ inputs: [specials] });
export const isInf: CaseOf = (draw) => ({
  inputs: [specials],
  attributes: { detect_negative: attr.int(draw.int(0, 1)), detect_positive: attr.int(draw.int(0, 1)) },
});

export const identity: CaseOf = (draw) => ({
  inputs: [draw.pick([draw.floats([2, 3]), draw.ints([4], -9, 9), draw.bools([2, 2])])],
});

export const clip: CaseOf = (draw) => ({
  inputs: [draw.floats([4, 4]), draw.flag() ? single(-1) : undefined, draw.flag() ? single(0.5) : undefined],
});

export const cast: CaseOf = (draw) => {
  const from = draw.pick([
    draw.floats([8], 0, 200),
    draw.floats([8], -100, 100),
    draw.ints([8], -900, 900),
    draw.ints([8], -9, 9, "int32"),
    draw.bools([8]),
  ]);
  // What C leaves open, a float outside of the range of the target, is not drawn.
  const targets =
    from.dtype === "float32"
      ? (["int64", "int32", "bool", "float64"] as const)
      : (["uint8", "int8", "int32", "int64", "float32", "bool"] as const);
  return { inputs: [from], attributes: { to: attr.int(DTYPE_CODES[draw.pick<keyof typeof DTYPE_CODES>(targets)]) } };
};

export const shrink: CaseOf = (draw) => ({
  inputs: [draw.floats([4, 5])],
  attributes: draw.flag() ? { lambd: attr.float(0.7), bias: attr.float(draw.pick([0, 0.7, -0.2])) } : {},
});

export const castLike: CaseOf = (draw) => ({
  inputs: [draw.floats([2, 3]), draw.pick([draw.floats([1]), draw.ints([2], 0, 1), draw.bools([1])])],
});

export const dropout: CaseOf = (draw) => ({
  inputs: draw.pick([[draw.floats([3, 4])], [draw.floats([3, 4]), single(0.3), tensorOf("bool", [], [0])]]),
  outputs: draw.int(1, 2),
});

/** Two operands that broadcast to a common shape. */
export const binary =
  (low = -2, high = 2, integers = true): CaseOf =>
  (draw) => {
    const dims = draw.dims(draw.int(0, 4));
    const shapes = [draw.broadcastable(dims), draw.broadcastable(dims)];
    if (integers && draw.int(0, 3) === 0)
      return { inputs: shapes.map((shape) => draw.ints(shape, Math.ceil(low), Math.floor(high))) };
    return { inputs: shapes.map((shape) => draw.floats(shape, low, high)) };
  };

/** Whole numbers above zero, since nothing divides by zero. */
export const division: CaseOf = (draw) => {
  const dims = draw.dims(3);
  if (draw.flag()) return { inputs: [draw.ints(draw.broadcastable(dims), -9, 9), draw.ints(dims, 1, 4)] };
  return { inputs: [draw.floats(dims), draw.floats(draw.broadcastable(dims), 0.5, 2)] };
};

export const power: CaseOf = (draw) => {
  const dims = draw.dims(3);
  return {
    inputs: [
      draw.floats(dims, 0.1, 3),
      draw.flag() ? draw.floats(draw.broadcastable(dims)) : single(draw.pick([2, 3, 0.5, -1])),
    ],
  };
};

export const modulo: CaseOf = (draw) => {
  const dims = draw.dims(2);
  const divisor = draw.pick([-3, -2, 2, 3, 5]);
  if (draw.flag())
    return {
      inputs: [draw.ints(dims, -9, 9), tensorOf("int64", [], [divisor])],
      attributes: { fmod: attr.int(draw.int(0, 1)) },
    };
  return { inputs: [draw.floats(dims, -9, 9), single(divisor)], attributes: { fmod: attr.int(1) } };
};

/** Small whole numbers, so that equal ones occur. */
export const comparison: CaseOf = (draw) => {
  const dims = draw.dims(3);
  const dtype = draw.pick(["float32", "int64", "int32"] as const);
  return {
    inputs: [draw.ints(draw.broadcastable(dims), 0, 2, dtype), draw.ints(draw.broadcastable(dims), 0, 2, dtype)],
  };
};

export const logical: CaseOf = (draw) => {
  const dims = draw.dims(3);
  return { inputs: [draw.bools(draw.broadcastable(dims)), draw.bools(draw.broadcastable(dims))] };
};

export const variadic: CaseOf = (draw) => {
  const dims = draw.dims(3);
  return { inputs: draw.list(draw.int(1, 3), () => draw.floats(draw.broadcastable(dims))) };
};

export const pRelu: CaseOf = (draw) => {
  const dims = draw.dims(3);
  return { inputs: [draw.floats(dims), draw.floats(draw.broadcastable(dims))] };
};

export const where: CaseOf = (draw) => {
  const dims = draw.dims(3);
  const values = (): ReturnType<typeof draw.floats> => draw.floats(draw.broadcastable(dims));
  return { inputs: [draw.bools(draw.broadcastable(dims)), values(), values()] };
};
