import { attributesOf, type Node } from "../../ir/index.js";
import { findOpType } from "../catalog.js";
import { conv, convTranspose } from "./conv.js";
import * as elementwise from "./elementwise.js";
import { einsum, einsumObstacle } from "./einsum.js";
import * as layout from "./layout.js";
import { fusedMatMul, fusedMatMulObstacle, gemm, matMul } from "./matmul.js";
import {
  batchNormalization,
  groupNormalization,
  instanceNormalization,
  layerNormalization,
  lpNormalization,
  lrn,
  meanVarianceNormalization,
} from "./norm.js";
import { averagePool, globalAveragePool, globalLpPool, globalMaxPool, lpPool, maxPool, maxUnpool } from "./pool.js";
import * as reduce from "./reduce.js";
import { resize, resizeObstacle } from "./resize.js";
import type { GradientTable } from "./rule.js";
import * as scatter from "./scatter.js";
import { logSoftmax, softmax } from "./softmax.js";
import type { ObstacleTable } from "./terms.js";

/** How the gradient of each op is written. */
export const gradientTable: GradientTable = {
  Conv: conv,
  ConvTranspose: convTranspose,

  Gemm: gemm,
  MatMul: matMul,
  FusedMatMul: fusedMatMul,
  Einsum: einsum,

  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  MeanVarianceNormalization: meanVarianceNormalization,
  LpNormalization: lpNormalization,
  LRN: lrn,

  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,
  LpPool: lpPool,
  GlobalLpPool: globalLpPool,
  MaxUnpool: maxUnpool,

  Abs: elementwise.abs,
  Acos: elementwise.acos,
  Acosh: elementwise.acosh,
  Asin: elementwise.asin,
  Asinh: elementwise.asinh,
  Atan: elementwise.atan,
  Atanh: elementwise.atanh,
  Ceil: "not-differentiable",
  Cos: elementwise.cos,
  Cosh: elementwise.cosh,
  Erf: elementwise.erf,
  Exp: elementwise.exp,
  Floor: "not-differentiable",
  Log: elementwise.log,
  Neg: elementwise.neg,
  Not: "not-differentiable",
  Reciprocal: elementwise.reciprocal,
  Relu: elementwise.relu,
  Round: "not-differentiable",
  Sigmoid: elementwise.sigmoid,
  Sign: "not-differentiable",
  Sin: elementwise.sin,
  Sinh: elementwise.sinh,
  Softplus: elementwise.softplus,
  Softsign: elementwise.softsign,
  Sqrt: elementwise.sqrt,
  Tan: elementwise.tan,
  Tanh: elementwise.tanh,
  HardSwish: elementwise.hardSwish,
  Mish: elementwise.mish,
  IsNaN: "not-differentiable",
  Identity: elementwise.identity,
  IsInf: "not-differentiable",
  Elu: elementwise.elu,
  Celu: elementwise.celu,
  Selu: elementwise.selu,
  LeakyRelu: elementwise.leakyRelu,
  ThresholdedRelu: elementwise.thresholdedRelu,
  Shrink: elementwise.shrink,
  HardSigmoid: elementwise.hardSigmoid,
  Gelu: elementwise.gelu,
  Clip: elementwise.clip,
  Cast: elementwise.cast,
  CastLike: elementwise.castLike,
  Dropout: elementwise.dropout,

  Add: elementwise.add,
  Sub: elementwise.sub,
  Mul: elementwise.mul,
  Div: elementwise.div,
  Pow: elementwise.pow,
  And: "not-differentiable",
  Or: "not-differentiable",
  Xor: "not-differentiable",
  Equal: "not-differentiable",
  Greater: "not-differentiable",
  GreaterOrEqual: "not-differentiable",
  Less: "not-differentiable",
  LessOrEqual: "not-differentiable",
  Mod: elementwise.mod,
  Sum: elementwise.sum,
  Mean: elementwise.mean,
  Max: elementwise.extremum,
  Min: elementwise.extremum,
  PRelu: elementwise.pRelu,
  Where: elementwise.where,

  ReduceSum: reduce.reduceSum,
  ReduceMean: reduce.reduceMean,
  ReduceMax: reduce.reduceExtremum,
  ReduceMin: reduce.reduceExtremum,
  ReduceProd: reduce.reduceProd,
  ReduceL1: reduce.reduceL1,
  ReduceL2: reduce.reduceL2,
  ReduceSumSquare: reduce.reduceSumSquare,
  ReduceLogSum: reduce.reduceLogSum,
  ReduceLogSumExp: reduce.reduceLogSumExp,
  ArgMax: "not-differentiable",
  ArgMin: "not-differentiable",
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  Hardmax: "not-differentiable",
  CumSum: reduce.cumSum,
  TopK: reduce.topK,

  Reshape: layout.reshape,
  Flatten: layout.flatten,
  Squeeze: layout.squeeze,
  Unsqueeze: layout.squeeze,
  Transpose: layout.transpose,
  Concat: layout.concat,
  Split: layout.split,
  Slice: layout.slice,
  Pad: layout.pad,
  Expand: layout.expand,
  Tile: layout.tile,
  Gather: layout.gather,
  GatherElements: layout.gatherElements,
  ScatterElements: layout.scatterElements,
  GatherND: scatter.gatherND,
  ScatterND: scatter.scatterND,
  Trilu: scatter.trilu,
  DepthToSpace: layout.depthToSpace,
  SpaceToDepth: layout.spaceToDepth,
  Resize: resize,

  Constant: "not-differentiable",
  ConstantOfShape: "shape-only",
  Shape: "shape-only",
  Size: "shape-only",
  Range: "unsupported",
  EyeLike: "shape-only",
  NonZero: "not-differentiable",
  NonMaxSuppression: "not-differentiable",
  OneHot: layout.oneHot,
};

/** Forms of ops with a rule for which that rule does not hold. */
const obstacles: ObstacleTable = {
  FusedMatMul: fusedMatMulObstacle,
  Cast: elementwise.castObstacle,
  Mod: elementwise.modObstacle,
  ScatterElements: layout.scatterElementsObstacle,
  Resize: resizeObstacle,
  Einsum: einsumObstacle,
  ScatterND: layout.scatterElementsObstacle,
};

/** Why no gradient flows through a node that should let one through, or undefined when it does (or stops there on purpose). */
export function findGradientObstacle(node: Node): string | undefined {
  const type = findOpType(node);
  if (type === undefined) return "the op is unknown";
  if (gradientTable[type] === "unsupported") return "the op has no gradient rule";
  const form = obstacles[type]?.(attributesOf(node));
  return form && `no gradient rule for ${form}`;
}
