import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { tensorOf } from "../../base/index.js";
import { printModel } from "../ir/index.js";
import { inferShapes } from "../passes/index.js";
import { buildStep, meanSquaredError, sgd } from "./index.js";

const page = readFileSync(new URL("../../../docs/training-step.md", import.meta.url), "utf8");

test("the training step of one linear layer is what docs/training-step.md shows, whole", () => {
  const model = modelOf({
    inputs: { x: [2, 3] },
    outputs: { y: [2, 1] },
    initializers: { w: tensorOf("float32", [3, 1], [1, 2, 3]) },
    nodes: [node("MatMul", ["x", "w"], ["y"])],
  });
  const train = { loss: meanSquaredError, optimizer: sgd(), parameters: ["w"] };
  const step = buildStep(inferShapes(model), { statistics: "fixed", train });
  expect(printModel(step.model)).toBe(/^```text\n(.*?)^```$/ms.exec(page)?.[1]);
});
