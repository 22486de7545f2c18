import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { tensorOf } from "../../base/index.js";
import { attr, printModel } from "../ir/index.js";
import { inferShapes } from "../passes/index.js";
import { buildStep, crossEntropy, sgd } from "./index.js";

test("the training step of one linear layer, whole", () => {
  const model = modelOf({
    inputs: { x: [2, 3] },
    outputs: { logits: [2, 2] },
    initializers: {
      w: tensorOf("float32", [2, 3], [1, 2, 3, 4, 5, 6]),
      b: tensorOf("float32", [2], [0, 0]),
    },
    nodes: [node("Gemm", ["x", "w", "b"], ["logits"], { transB: attr.int(1) })],
  });
  const step = buildStep(inferShapes(model), {
    statistics: "fixed",
    train: { loss: crossEntropy(), optimizer: sgd(), parameters: ["w", "b"] },
  });
  expect(printModel(step.model)).toMatchInlineSnapshot(`
    "ir_version 8
    opset "" 17
    opset com.microsoft 1
    producer "test" ""

    graph "training_step" {
      input %x: float32[2,3]
      input %w: float32[2,3]
      input %b: float32[2]
      input %labels: int64[2]
      input %learning_rate: float32[]
      input %step_count: float32[]
      %logits: float32[2,2] = Gemm(%x, %w, %b) {transB = 1} "logits/Gemm"
      %step/scalar:out: float32[] = Constant() {value_float = 0.0} "step/scalar"
      %step/ints:out: int64[1] = Constant() {value_ints = [1]} "step/ints"
      %step/Reshape:out: float32[1] = Reshape(%step/scalar:out, %step/ints:out) "step/Reshape"
      %step/scalar_1:out: float32[] = Constant() {value_float = 1.0} "step/scalar_1"
      %step/Reshape_1:out: float32[1] = Reshape(%step/scalar_1:out, %step/ints:out) "step/Reshape_1"
      %step/Concat:out: float32[2] = Concat(%step/Reshape:out, %step/Reshape_1:out) {axis = 0} "step/Concat"
      %step/ints_1:out: int64[1] = Constant() {value_ints = [2]} "step/ints_1"
      %step/OneHot:out: float32[2,2] = OneHot(%labels, %step/ints_1:out, %step/Concat:out) {axis = 1} "step/OneHot"
      %step/LogSoftmax:out: float32[2,2] = LogSoftmax(%logits) {axis = 1} "step/LogSoftmax"
      %step/Mul:out: float32[2,2] = Mul(%step/OneHot:out, %step/LogSoftmax:out) "step/Mul"
      %step/ReduceSum:out: float32[2] = ReduceSum(%step/Mul:out, %step/ints:out) {keepdims = 0} "step/ReduceSum"
      %step/ReduceMean:out: float32[] = ReduceMean(%step/ReduceSum:out) {keepdims = 0, axes = [0]} "step/ReduceMean"
      %step/Neg:out: float32[] = Neg(%step/ReduceMean:out) "step/Neg"
      %step/Neg_1:out: float32[] = Neg(%step/scalar_1:out) "step/Neg_1"
      %step/Reshape_3:out: float32[1] = Reshape(%step/Neg_1:out, %step/ints:out) "step/Reshape_3"
      %step/scalar_2:out: float32[] = Constant() {value_float = 2.0} "step/scalar_2"
      %step/Div:out: float32[1] = Div(%step/Reshape_3:out, %step/scalar_2:out) "step/Div"
      %step/Expand:out: float32[2] = Expand(%step/Div:out, %step/ints_1:out) "step/Expand"
      %step/ints_2:out: int64[2] = Constant() {value_ints = [2, 1]} "step/ints_2"
      %step/Reshape_5:out: float32[2,1] = Reshape(%step/Expand:out, %step/ints_2:out) "step/Reshape_5"
      %step/ints_3:out: int64[2] = Constant() {value_ints = [2, 2]} "step/ints_3"
      %step/Expand_1:out: float32[2,2] = Expand(%step/Reshape_5:out, %step/ints_3:out) "step/Expand_1"
      %step/Mul_1:out: float32[2,2] = Mul(%step/Expand_1:out, %step/OneHot:out) "step/Mul_1"
      %step/Exp:out: float32[2,2] = Exp(%step/LogSoftmax:out) "step/Exp"
      %step/ReduceSum_1:out: float32[2,1] = ReduceSum(%step/Mul_1:out, %step/ints:out) {keepdims = 1} "step/ReduceSum_1"
      %step/Mul_2:out: float32[2,2] = Mul(%step/Exp:out, %step/ReduceSum_1:out) "step/Mul_2"
      %step/Sub:out: float32[2,2] = Sub(%step/Mul_1:out, %step/Mul_2:out) "step/Sub"
      %step/FusedMatMul:out: float32[2,3] = com.microsoft::FusedMatMul(%step/Sub:out, %x) {transA = 1} "step/FusedMatMul"
      %step/ints_4:out: int64[1] = Constant() {value_ints = [0]} "step/ints_4"
      %step/ReduceSum_2:out: float32[1,2] = ReduceSum(%step/Sub:out, %step/ints_4:out) {keepdims = 1} "step/ReduceSum_2"
      %step/Reshape_6:out: float32[2] = Reshape(%step/ReduceSum_2:out, %step/ints_1:out) "step/Reshape_6"
      %step/ReduceSumSquare:out: float32[] = ReduceSumSquare(%step/FusedMatMul:out) {keepdims = 0} "step/ReduceSumSquare"
      %step/ReduceSumSquare_1:out: float32[] = ReduceSumSquare(%step/Reshape_6:out) {keepdims = 0} "step/ReduceSumSquare_1"
      %step/Sum:out: float32[] = Sum(%step/ReduceSumSquare:out, %step/ReduceSumSquare_1:out) "step/Sum"
      %step/Sqrt:out: float32[] = Sqrt(%step/Sum:out) "step/Sqrt"
      %step/Add:out: float32[] = Add(%step_count, %step/scalar_1:out) "step/Add"
      %step/Mul_3:out: float32[2,3] = Mul(%step/FusedMatMul:out, %learning_rate) "step/Mul_3"
      %step/Neg_2:out: float32[2,3] = Neg(%step/Mul_3:out) "step/Neg_2"
      %step/Add_1:out: float32[2,3] = Add(%w, %step/Neg_2:out) "step/Add_1"
      %step/Mul_4:out: float32[2] = Mul(%step/Reshape_6:out, %learning_rate) "step/Mul_4"
      %step/Neg_3:out: float32[2] = Neg(%step/Mul_4:out) "step/Neg_3"
      %step/Add_2:out: float32[2] = Add(%b, %step/Neg_3:out) "step/Add_2"
      output %logits: float32[2,2]
      output %step/Neg:out: float32[]
      output %step/Sqrt:out: float32[]
      output %step/Add:out: float32[]
      output %step/Add_1:out: float32[2,3]
      output %step/Add_2:out: float32[2]
    }
    "
  `);
});
