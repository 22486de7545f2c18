import { invariant, sizeOf } from "../../../base/index.js";
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

  BatchNormalization: "free",
  InstanceNormalization: "free",
  LayerNormalization: "free",
  LRN: "free",
  MaxPool: "free",
  AveragePool: "free",
  GlobalAveragePool: "free",
  GlobalMaxPool: "free",
  Abs: "free",
  Ceil: "free",
  Cos: "free",
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
  Softplus: "free",
  Softsign: "free",
  Sqrt: "free",
  Tanh: "free",
  HardSwish: "free",
  Mish: "free",
  IsNaN: "free",
  Identity: "free",
  IsInf: "free",
  Elu: "free",
  LeakyRelu: "free",
  HardSigmoid: "free",
  Gelu: "free",
  Clip: "free",
  Cast: "free",
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
  ReduceLogSumExp: "free",
  ArgMax: "free",
  ArgMin: "free",
  Softmax: "free",
  LogSoftmax: "free",
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
  DepthToSpace: "free",
  SpaceToDepth: "free",
  Resize: "free",
  Constant: "free",
  ConstantOfShape: "free",
  Shape: "free",
  Size: "free",
  Range: "free",
  OneHot: "free",
};
