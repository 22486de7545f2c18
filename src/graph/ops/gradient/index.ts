import { attributesOf, type Node } from "../../ir/index.js";
import { findOpType } from "../catalog.js";
import { conv, convTranspose } from "./conv.js";
import * as elementwise from "./elementwise.js";
import * as layout from "./layout.js";
import { fusedMatMul, fusedMatMulObstacle, gemm, matMul } from "./matmul.js";
import { batchNormalization, instanceNormalization, layerNormalization, lrn } from "./norm.js";
import { averagePool, globalAveragePool, globalMaxPool, maxPool } from "./pool.js";
import * as reduce from "./reduce.js";
import { resize, resizeObstacle } from "./resize.js";
import type { GradientTable } from "./rule.js";
import { logSoftmax, softmax } from "./softmax.js";
import type { ObstacleTable } from "./terms.js";

/** How the gradient of each op is written. */
export const gradientTable: GradientTable = {
  Conv: conv,
  ConvTranspose: convTranspose,

  Gemm: gemm,
  MatMul: matMul,
  FusedMatMul: fusedMatMul,

  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  LayerNormalization: layerNormalization,
  LRN: lrn,

  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,

  Abs: elementwise.abs,
  Ceil: "not-differentiable",
  Cos: elementwise.cos,
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
  Softplus: elementwise.softplus,
  Softsign: elementwise.softsign,
  Sqrt: elementwise.sqrt,
  Tanh: elementwise.tanh,
  HardSwish: elementwise.hardSwish,
  Mish: elementwise.mish,
  IsNaN: "not-differentiable",
  Identity: elementwise.identity,
  IsInf: "not-differentiable",
  Elu: elementwise.elu,
  LeakyRelu: elementwise.leakyRelu,
  HardSigmoid: elementwise.hardSigmoid,
  Gelu: elementwise.gelu,
  Clip: elementwise.clip,
  Cast: elementwise.cast,
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
  ReduceLogSumExp: reduce.reduceLogSumExp,
  ArgMax: "not-differentiable",
  ArgMin: "not-differentiable",
  Softmax: softmax,
  LogSoftmax: logSoftmax,
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
  DepthToSpace: layout.depthToSpace,
  SpaceToDepth: layout.spaceToDepth,
  Resize: resize,

  Constant: "not-differentiable",
  ConstantOfShape: "shape-only",
  Shape: "shape-only",
  Size: "shape-only",
  Range: "unsupported",
  OneHot: "unsupported",
};

/** Forms of ops with a rule for which that rule does not hold. */
const obstacles: ObstacleTable = {
  FusedMatMul: fusedMatMulObstacle,
  Mod: elementwise.modObstacle,
  ScatterElements: layout.scatterElementsObstacle,
  Resize: resizeObstacle,
};

/** Why no gradient flows through a node that should let one through, or undefined when it does (or stops there on purpose). */
export function findGradientObstacle(node: Node): string | undefined {
  const type = findOpType(node);
  if (type === undefined) return "the op is unknown";
  if (gradientTable[type] === "unsupported") return "the op has no gradient rule";
  const form = obstacles[type]?.(attributesOf(node));
  return form && `no gradient rule for ${form}`;
}
