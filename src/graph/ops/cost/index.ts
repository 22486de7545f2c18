import { invariant, sizeOf } from "../../../base/index.js";
import { parseEinsum } from "../einsum.js";
import type { CostContext, CostRule, CostTable } from "../rule.js";

function dimsOf(list: CostContext["inputs"], index: number): readonly number[] {
  const dims = list[index];
  invariant(dims, "the cost of a node is asked for only when its shapes are known");
  return dims;
}

/** Every element of the output takes C/group · kernel products. Shapes: W [M, C/group, …]. */
const conv: CostRule = ({ inputs, outputs }) => sizeOf(dimsOf(outputs, 0)) * sizeOf(dimsOf(inputs, 1).slice(1));

/** Every element of the input is spread over M/group · kernel products. Shapes: W [C, M/group, …]. */
const convTranspose: CostRule = ({ inputs }) => sizeOf(dimsOf(inputs, 0)) * sizeOf(dimsOf(inputs, 1).slice(1));

/** Every element of the product takes K products; K is what A has besides the rows of the result. */
const gemm: CostRule = ({ inputs, outputs, attributes }) =>
  sizeOf(dimsOf(outputs, 0)) * dimsOf(inputs, 0)[attributes.int("transA", 0) === 0 ? 1 : 0]!;

const matMul: CostRule = ({ inputs, outputs, attributes }) => {
  const a = dimsOf(inputs, 0);
  const inner =
    attributes.int("transA", 0) === 1 && a.length > 1
      ? a.at(attributes.int("transBatchA", 0) === 1 ? 0 : -2)
      : a.at(-1);
  return sizeOf(dimsOf(outputs, 0)) * inner!;
};

/** Every combination of labels takes one product per operand after the first. */
const einsum: CostRule = ({ inputs, attributes }) => {
  const shapes = inputs.map((_, i) => dimsOf(inputs, i));
  const { operands } = parseEinsum(
    attributes.string("equation", ""),
    shapes.map((dims) => dims.length),
  );
  const sizes = new Map<string, number>();
  operands.forEach((labels, k) =>
    labels.forEach((label, i) => sizes.set(label, Math.max(sizes.get(label) ?? 1, shapes[k]![i]!))),
  );
  return sizeOf([...sizes.values()]) * Math.max(0, operands.length - 1);
};

/**
 * Multiply-accumulates of each op. Only products with weights or between activations count;
 * normalization, pooling and elementwise ops are bound by memory: see the bytes.
 */
export const costTable: CostTable = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Gemm: gemm,
  MatMul: matMul,
  FusedMatMul: matMul,
  Einsum: einsum,

  BatchNormalization: "free",
  InstanceNormalization: "free",
  LayerNormalization: "free",
  GroupNormalization: "free",
  MeanVarianceNormalization: "free",
  LpNormalization: "free",
  LRN: "free",
  MaxPool: "free",
  AveragePool: "free",
  GlobalAveragePool: "free",
  GlobalMaxPool: "free",
  LpPool: "free",
  GlobalLpPool: "free",
  MaxUnpool: "free",
  Abs: "free",
  Acos: "free",
  Acosh: "free",
  Asin: "free",
  Asinh: "free",
  Atan: "free",
  Atanh: "free",
  Ceil: "free",
  Cos: "free",
  Cosh: "free",
  Erf: "free",
  Exp: "free",
  Floor: "free",
  Log: "free",
  Neg: "free",
  Not: "free",
  Reciprocal: "free",
  Relu: "free",
  Round: "free",
  Sigmoid: "free",
  Sign: "free",
  Sin: "free",
  Sinh: "free",
  Softplus: "free",
  Softsign: "free",
  Sqrt: "free",
  Tan: "free",
  Tanh: "free",
  HardSwish: "free",
  Mish: "free",
  IsNaN: "free",
  Identity: "free",
  IsInf: "free",
  Elu: "free",
  Celu: "free",
  Selu: "free",
  LeakyRelu: "free",
  ThresholdedRelu: "free",
  Shrink: "free",
  HardSigmoid: "free",
  Gelu: "free",
  Clip: "free",
  Cast: "free",
  CastLike: "free",
  Dropout: "free",
  Add: "free",
  Sub: "free",
  Mul: "free",
  Div: "free",
  Pow: "free",
  And: "free",
  Or: "free",
  Xor: "free",
  Equal: "free",
  Greater: "free",
  GreaterOrEqual: "free",
  Less: "free",
  LessOrEqual: "free",
  Mod: "free",
  Sum: "free",
  Mean: "free",
  Max: "free",
  Min: "free",
  PRelu: "free",
  Where: "free",
  ReduceSum: "free",
  ReduceMean: "free",
  ReduceMax: "free",
  ReduceMin: "free",
  ReduceProd: "free",
  ReduceL1: "free",
  ReduceL2: "free",
  ReduceSumSquare: "free",
  ReduceLogSum: "free",
  ReduceLogSumExp: "free",
  ArgMax: "free",
  ArgMin: "free",
  Softmax: "free",
  LogSoftmax: "free",
  Hardmax: "free",
  CumSum: "free",
  TopK: "free",
  Reshape: "free",
  Flatten: "free",
  Squeeze: "free",
  Unsqueeze: "free",
  Transpose: "free",
  Concat: "free",
  Split: "free",
  Slice: "free",
  Pad: "free",
  Expand: "free",
  Tile: "free",
  Gather: "free",
  GatherElements: "free",
  ScatterElements: "free",
  GatherND: "free",
  ScatterND: "free",
  Trilu: "free",
  DepthToSpace: "free",
  SpaceToDepth: "free",
  Resize: "free",
  Constant: "free",
  ConstantOfShape: "free",
  Shape: "free",
  Size: "free",
  Range: "free",
  EyeLike: "free",
  NonZero: "free",
  NonMaxSuppression: "free",
  OneHot: "free",
};
