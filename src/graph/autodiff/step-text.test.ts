import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { tensorOf } from "../../base/index.js";
import { printModel } from "../ir/index.js";
import { inferShapes } from "../passes/index.js";
import { buildStep, meanSquaredError, sgd } from "./index.js";

test("the training step of one linear layer, whole", () => {
  const model = modelOf({
    inputs: { x: [2, 3] },
    outputs: { y: [2, 1] },
    initializers: { w: tensorOf("float32", [3, 1], [1, 2, 3]) },
    nodes: [node("MatMul", ["x", "w"], ["y"])],
  });
  const train = { loss: meanSquaredError, optimizer: sgd(), parameters: ["w"] };
  const step = buildStep(inferShapes(model), { statistics: "fixed", train });
  expect(printModel(step.model)).toMatchInlineSnapshot(`
    "ir_version 8
    opset "" 17
    opset com.microsoft 1
    producer "test" ""

    graph "training_step" {
      input %x: float32[2,3]
      input %w: float32[3,1]
      input %targets: float32[2,1]
      input %learning_rate: float32[]
      input %step_count: float32[]
      %y: float32[2,1] = MatMul(%x, %w) "y/MatMul"
      %step/Sub:out: float32[2,1] = Sub(%y, %targets) "step/Sub"
      %step/Mul:out: float32[2,1] = Mul(%step/Sub:out, %step/Sub:out) "step/Mul"
      %step/ReduceMean:out: float32[] = ReduceMean(%step/Mul:out) {keepdims = 0, axes = [0, 1]} "step/ReduceMean"
      %step/scalar:out: float32[] = Constant() {value_float = 1.0} "step/scalar"
      %step/ints:out: int64[2] = Constant() {value_ints = [1, 1]} "step/ints"
      %step/Reshape_1:out: float32[1,1] = Reshape(%step/scalar:out, %step/ints:out) "step/Reshape_1"
      %step/scalar_1:out: float32[] = Constant() {value_float = 2.0} "step/scalar_1"
      %step/Div:out: float32[1,1] = Div(%step/Reshape_1:out, %step/scalar_1:out) "step/Div"
      %step/ints_1:out: int64[2] = Constant() {value_ints = [2, 1]} "step/ints_1"
      %step/Expand:out: float32[2,1] = Expand(%step/Div:out, %step/ints_1:out) "step/Expand"
      %step/Mul_1:out: float32[2,1] = Mul(%step/Expand:out, %step/Sub:out) "step/Mul_1"
      %step/Mul_2:out: float32[2,1] = Mul(%step/Expand:out, %step/Sub:out) "step/Mul_2"
      %step/Add:out: float32[2,1] = Add(%step/Mul_1:out, %step/Mul_2:out) "step/Add"
      %step/FusedMatMul:out: float32[3,1] = com.microsoft::FusedMatMul(%x, %step/Add:out) {transA = 1} "step/FusedMatMul"
      %step/ReduceSumSquare:out: float32[] = ReduceSumSquare(%step/FusedMatMul:out) {keepdims = 0} "step/ReduceSumSquare"
      %step/Sqrt:out: float32[] = Sqrt(%step/ReduceSumSquare:out) "step/Sqrt"
      %step/Add_1:out: float32[] = Add(%step_count, %step/scalar:out) "step/Add_1"
      %step/Neg:out: float32[] = Neg(%learning_rate) "step/Neg"
      %step/Mul_3:out: float32[3,1] = Mul(%step/FusedMatMul:out, %step/Neg:out) "step/Mul_3"
      %step/Add_2:out: float32[3,1] = Add(%w, %step/Mul_3:out) "step/Add_2"
      output %y: float32[2,1]
      output %step/ReduceMean:out: float32[]
      output %step/Sqrt:out: float32[]
      output %step/Add_1:out: float32[]
      output %step/Add_2:out: float32[3,1]
    }
    "
  `);
});
