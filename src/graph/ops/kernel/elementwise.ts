import { type DType, LimberError } from "../../../base/index.js";
import { findDType } from "../../ir/index.js";
import { broadcastDims } from "../geometry.js";
import type { OpType } from "../catalog.js";
import type { KernelContext, ReferenceTensor } from "../rule.js";
import { broadcastTo } from "./gather.js";
import { erf, floorMod, gelu, geluTanh, hardSigmoid, roundHalfEven, sigmoid, softplus } from "./scalar.js";
import { createTensor, isInteger, type Kernels } from "./support.js";

type Unary = (x: number) => number;
type Binary = (a: number, b: number) => number;

function mapUnary(x: ReferenceTensor, map: Unary, dtype: DType = x.dtype): ReferenceTensor {
  const y = createTensor(dtype, x.dims);
  for (let i = 0; i < y.data.length; i++) y.data[i] = map(x.data[i]!);
  return y;
}

/** Shapes: broadcast together under numpy's rules. */
function mapBinary(a: ReferenceTensor, b: ReferenceTensor, map: Binary, dtype: DType = a.dtype): ReferenceTensor {
  const dims = broadcastDims(a.dims, b.dims);
  const y = createTensor(dtype, dims);
  if (b.data.length === 1) {
    const right = b.data[0]!;
    for (let i = 0; i < y.data.length; i++) y.data[i] = map(a.data[i]!, right);
    return y;
  }
  const [left, right] = [broadcastTo(a, dims).data, broadcastTo(b, dims).data];
  for (let i = 0; i < y.data.length; i++) y.data[i] = map(left[i]!, right[i]!);
  return y;
}

const unary =
  (map: Unary) =>
  ({ X }: { readonly X: ReferenceTensor }): ReferenceTensor =>
    mapUnary(X, map);
/** A unary op with parameters from attributes. */
const unaryBy =
  (create: (attributes: KernelContext["attributes"]) => Unary) =>
  ({ X }: { readonly X: ReferenceTensor }, { attributes }: KernelContext): ReferenceTensor =>
    mapUnary(X, create(attributes));
const predicate =
  (test: (x: number) => boolean) =>
  ({ X }: { readonly X: ReferenceTensor }): ReferenceTensor =>
    mapUnary(X, (x) => Number(test(x)), "bool");

interface Operands {
  readonly A: ReferenceTensor;
  readonly B: ReferenceTensor;
}
/** Whole numbers stay whole: results are truncated toward zero, as in C. */
const binary =
  (map: Binary) =>
  ({ A, B }: Operands): ReferenceTensor =>
    mapBinary(A, B, isInteger(A.dtype) ? (a, b) => Math.trunc(map(a, b)) : map);
const relation =
  (test: (a: number, b: number) => boolean) =>
  ({ A, B }: Operands): ReferenceTensor =>
    mapBinary(A, B, (a, b) => Number(test(a, b)), "bool");

/** Folds any number of operands, broadcast together. */
const variadic =
  (map: Binary) =>
  ({ data }: { readonly data: readonly ReferenceTensor[] }): ReferenceTensor =>
    data.reduce((a, b) => mapBinary(a, b, map));

/** The defaults of Selu, as the specification writes them. Source: Klambauer et al. 2017, arXiv:1706.02515. */
export const SELU_ALPHA = 1.67326319217681884765625;
export const SELU_GAMMA = 1.05070102214813232421875;

type Arithmetic =
  | "Add"
  | "Sub"
  | "Mul"
  | "Div"
  | "Pow"
  | "Mod"
  | "And"
  | "Or"
  | "Xor"
  | "Equal"
  | "Greater"
  | "GreaterOrEqual"
  | "Less"
  | "LessOrEqual";
type Mapped =
  | "Abs"
  | "Acos"
  | "Acosh"
  | "Asin"
  | "Asinh"
  | "Atan"
  | "Atanh"
  | "Ceil"
  | "Cos"
  | "Cosh"
  | "Erf"
  | "Exp"
  | "Floor"
  | "Log"
  | "Neg"
  | "Not"
  | "Reciprocal"
  | "Relu"
  | "Round"
  | "Sigmoid"
  | "Sign"
  | "Sin"
  | "Sinh"
  | "Softplus"
  | "Softsign"
  | "Sqrt"
  | "Tan"
  | "Tanh"
  | "HardSwish"
  | "Mish"
  | "IsNaN"
  | "IsInf"
  | "Identity"
  | "Elu"
  | "Celu"
  | "Selu"
  | "LeakyRelu"
  | "ThresholdedRelu"
  | "HardSigmoid"
  | "Gelu";
type Other = "Shrink" | "Clip" | "Cast" | "CastLike" | "Dropout" | "Sum" | "Mean" | "Max" | "Min" | "PRelu" | "Where";

const unaryKernels: Kernels<Mapped> = {
  Abs: unary(Math.abs),
  Acos: unary(Math.acos),
  Acosh: unary(Math.acosh),
  Asin: unary(Math.asin),
  Asinh: unary(Math.asinh),
  Atan: unary(Math.atan),
  Atanh: unary(Math.atanh),
  Ceil: unary(Math.ceil),
  Cos: unary(Math.cos),
  Cosh: unary(Math.cosh),
  Erf: unary(erf),
  Exp: unary(Math.exp),
  Floor: unary(Math.floor),
  Log: unary(Math.log),
  Neg: unary((x) => -x),
  Not: predicate((x) => x === 0),
  Reciprocal: unary((x) => 1 / x),
  Relu: unary((x) => (x < 0 ? 0 : x)),
  Round: unary(roundHalfEven),
  Sigmoid: unary(sigmoid),
  Sign: unary(Math.sign),
  Sin: unary(Math.sin),
  Sinh: unary(Math.sinh),
  Softplus: unary(softplus),
  Softsign: unary((x) => x / (1 + Math.abs(x))),
  Sqrt: unary(Math.sqrt),
  Tan: unary(Math.tan),
  Tanh: unary(Math.tanh),
  HardSwish: unary((x) => x * hardSigmoid(x, 1 / 6, 0.5)),
  Mish: unary((x) => x * Math.tanh(softplus(x))),
  IsNaN: predicate(Number.isNaN),
  IsInf({ X }, { attributes }) {
    const [negative, positive] = [
      attributes.int("detect_negative", 1) !== 0,
      attributes.int("detect_positive", 1) !== 0,
    ];
    return mapUnary(X, (x) => Number((negative && x === -Infinity) || (positive && x === Infinity)), "bool");
  },
  Identity: ({ X }) => X,
  Elu: unaryBy((attributes) => {
    const alpha = attributes.float("alpha", 1);
    return (x) => (x < 0 ? alpha * Math.expm1(x) : x);
  }),
  Celu: unaryBy((attributes) => {
    const alpha = attributes.float("alpha", 1);
    return (x) => (x < 0 ? alpha * Math.expm1(x / alpha) : x);
  }),
  Selu: unaryBy((attributes) => {
    const [alpha, gamma] = [attributes.float("alpha", SELU_ALPHA), attributes.float("gamma", SELU_GAMMA)];
    return (x) => gamma * (x < 0 ? alpha * Math.expm1(x) : x);
  }),
  ThresholdedRelu: unaryBy((attributes) => {
    const alpha = attributes.float("alpha", 1);
    return (x) => (x > alpha ? x : 0);
  }),
  LeakyRelu: unaryBy((attributes) => {
    const alpha = attributes.float("alpha", 0.01);
    return (x) => (x < 0 ? alpha * x : x);
  }),
  HardSigmoid: unaryBy((attributes) => {
    const [alpha, beta] = [attributes.float("alpha", 0.2), attributes.float("beta", 0.5)];
    return (x) => hardSigmoid(x, alpha, beta);
  }),
  Gelu: unaryBy((attributes) => (attributes.string("approximate", "none") === "tanh" ? geluTanh : gelu)),
};

const binaryKernels: Kernels<Arithmetic> = {
  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: binary((a, b) => a / b),
  Pow: binary((a, b) => a ** b),
  /** `fmod = 1`: the sign of the dividend, as C's fmod; otherwise the sign of the divisor. */
  Mod: ({ A, B }, { attributes }) => mapBinary(A, B, attributes.int("fmod", 0) === 1 ? (a, b) => a % b : floorMod),
  And: relation((a, b) => a !== 0 && b !== 0),
  Or: relation((a, b) => a !== 0 || b !== 0),
  Xor: relation((a, b) => (a !== 0) !== (b !== 0)),
  Equal: relation((a, b) => a === b),
  Greater: relation((a, b) => a > b),
  GreaterOrEqual: relation((a, b) => a >= b),
  Less: relation((a, b) => a < b),
  LessOrEqual: relation((a, b) => a <= b),
};

/** How wide whole numbers are; a cast keeps the low bits, as in C. */
const INTEGER_BITS: Partial<Record<DType, number>> = {
  int8: 8,
  uint8: 8,
  int16: 16,
  uint16: 16,
  int32: 32,
  uint32: 32,
};

function convert(dtype: DType): Unary {
  if (dtype === "bool") return (x) => Number(x !== 0);
  if (!isInteger(dtype)) return (x) => x;
  const bits = INTEGER_BITS[dtype];
  if (bits === undefined) return Math.trunc;
  const range = 2 ** bits;
  const top = dtype.startsWith("u") ? range : range / 2;
  return (x) => {
    const low = floorMod(Math.trunc(x), range);
    return low >= top ? low - range : low;
  };
}

function dtypeOf(code: number): DType {
  const found = findDType(code);
  if (found && found !== "string") return found;
  throw new LimberError("op.unsupported", `Cast: a numeric element type, got TensorProto.DataType ${code}`);
}

const otherKernels: Kernels<Other> = {
  Shrink: ({ input }, { attributes }) => {
    const [bias, lambda] = [attributes.float("bias", 0), attributes.float("lambd", 0.5)];
    return mapUnary(input, (x) => (x < -lambda ? x + bias : x > lambda ? x - bias : 0));
  },
  Clip: ({ input, min, max }) => {
    const [low, high] = [min?.data[0] ?? -Infinity, max?.data[0] ?? Infinity];
    return mapUnary(input, (x) => Math.min(high, Math.max(low, x)));
  },
  /** Differs: between float types nothing is rounded, since every float is a double here. */
  Cast({ input }, { attributes }) {
    const to = dtypeOf(attributes.int("to", 0));
    return mapUnary(input, convert(to), to);
  },
  CastLike: ({ input, target_type: { dtype } }) => mapUnary(input, convert(dtype), dtype),
  Dropout({ data, ratio, training_mode }, { node }) {
    const drops = training_mode?.data[0] === 1 && (ratio?.data[0] ?? 0.5) !== 0;
    if (drops)
      throw new LimberError(
        "op.unsupported",
        `Dropout "${node.name}": inference or ratio 0, got training with a ratio above 0`,
      );
    return [data, mapUnary(data, () => 1, "bool")].slice(0, node.outputs.length);
  },
  Sum: variadic((a, b) => a + b),
  Mean: ({ data }) =>
    mapUnary(
      data.reduce((a, b) => mapBinary(a, b, (x, y) => x + y)),
      (sum) => sum / data.length,
    ),
  Max: variadic(Math.max),
  Min: variadic(Math.min),
  PRelu: ({ X, slope }) => mapBinary(X, slope, (x, factor) => (x < 0 ? factor * x : x)),
  Where({ condition, X, Y }) {
    const dims = broadcastDims(condition.dims, X.dims, Y.dims);
    const [test, a, b] = [condition, X, Y].map((operand) => broadcastTo(operand, dims).data) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    return createTensor(
      X.dtype,
      dims,
      test.map((t, i) => (t !== 0 ? a[i]! : b[i]!)),
    );
  },
};

export const elementwiseKernels = { ...unaryKernels, ...binaryKernels, ...otherKernels } satisfies Partial<
  Kernels<OpType>
>;
