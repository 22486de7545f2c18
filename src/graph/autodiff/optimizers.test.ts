import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { maxDifference, ReferenceTrainer } from "../../../test/helpers/parity.js";
import { tensorOf, toNumbers } from "../../base/index.js";
import { toReference } from "../ops/index.js";
import { inferShapes } from "../passes/index.js";
import { adam, adamW, buildStep, meanSquaredError, type Optimizer, sgd } from "./index.js";

const START = [0.5, -2, 3];
const RATE = 0.1;
/** y = w, loss = mean (w - t)²: the gradient is 2 (w - t) / 3. */
const model = modelOf({
  inputs: { x: [1, 3] },
  outputs: { y: [1, 3] },
  initializers: { w: tensorOf("float32", [1, 3], START) },
  nodes: [node("Add", ["x", "w"], ["y"])],
});
const TARGETS = [
  [1, 2, 3],
  [0, -4, 2],
  [-1, 0.25, 0],
];

function train(optimizer: Optimizer): number[] {
  const options = { loss: meanSquaredError, optimizer, parameters: ["w"] };
  const trainer = new ReferenceTrainer(buildStep(inferShapes(model), { statistics: "fixed", train: options }));
  const zero = toReference(tensorOf("float32", [1, 3], [0, 0, 0]));
  for (const row of TARGETS)
    trainer.run(zero, { targets: toReference(tensorOf("float32", [1, 3], row)), learningRate: RATE });
  return toNumbers({ ...trainer.weights().get("w")!, dtype: "float64" });
}

/** The same three steps for one number, as the papers write them. */
function recur(step: (w: number, g: number, t: number) => number): number[] {
  return START.map((start, i) => {
    let w = start;
    TARGETS.forEach((row, t) => {
      w = step(w, (2 * (w - row[i]!)) / 3, t + 1);
    });
    return w;
  });
}

/** A recurrence with memory starts anew for each number, at its first step. */
const plainSgd = (momentum: number, decay: number, nesterov: boolean) => {
  let b = 0;
  return (w: number, g: number, t: number): number => {
    if (t === 1) b = 0;
    const decayed = g + decay * w;
    b = momentum * b + decayed;
    return w - RATE * (nesterov ? decayed + momentum * b : b);
  };
};
const plainAdam = ({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, coupled = 0, decoupled = 0 }) => {
  let [m, v] = [0, 0];
  return (w: number, gradient: number, t: number): number => {
    if (t === 1) [m, v] = [0, 0];
    const g = gradient + coupled * w;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const shrunk = w * (1 - RATE * decoupled);
    return shrunk - (RATE * (m / (1 - beta1 ** t))) / (Math.sqrt(v / (1 - beta2 ** t)) + epsilon);
  };
};

describe("three steps in double precision follow the recurrence", () => {
  test.each([
    ["sgd", sgd(), plainSgd(0, 0, false)],
    ["sgd with momentum", sgd({ momentum: 0.9 }), plainSgd(0.9, 0, false)],
    ["sgd with Nesterov momentum", sgd({ momentum: 0.9, nesterov: true }), plainSgd(0.9, 0, true)],
    ["sgd with weight decay", sgd({ weightDecay: 0.05 }), plainSgd(0, 0.05, false)],
    ["sgd with all of it", sgd({ momentum: 0.8, nesterov: true, weightDecay: 0.05 }), plainSgd(0.8, 0.05, true)],
    ["adam", adam(), plainAdam({})],
    [
      "adam with other constants",
      adam({ beta1: 0.5, beta2: 0.9, epsilon: 0.1 }),
      plainAdam({ beta1: 0.5, beta2: 0.9, epsilon: 0.1 }),
    ],
    ["adam with weight decay", adam({ weightDecay: 0.05 }), plainAdam({ coupled: 0.05 })],
    ["adamW", adamW(), plainAdam({ decoupled: 0.01 })],
    ["adamW with weight decay", adamW({ weightDecay: 0.2 }), plainAdam({ decoupled: 0.2 })],
  ])("%s", (_, optimizer, recurrence) => {
    expect(maxDifference(train(optimizer), recur(recurrence))).toBeLessThan(1e-12);
  });
});

test("a first step of adam is the learning rate in the direction of the gradient, however small that is", () => {
  const tiny = TARGETS[0]!.map((_, i) => START[i]! + 1e-4);
  const options = { loss: meanSquaredError, optimizer: adam(), parameters: ["w"] };
  const trainer = new ReferenceTrainer(buildStep(inferShapes(model), { statistics: "fixed", train: options }));
  const zero = toReference(tensorOf("float32", [1, 3], [0, 0, 0]));
  trainer.run(zero, { targets: toReference(tensorOf("float64", [1, 3], tiny)), learningRate: RATE });
  trainer
    .weights()
    .get("w")!
    .data.forEach((w, i) => expect(w - START[i]!).toBeCloseTo(RATE, 4));
});
