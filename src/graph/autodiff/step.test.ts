import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { maxDifference, ReferenceTrainer } from "../../../test/helpers/parity.js";
import { int64s, isLimberError, Random, type Tensor, tensorOf } from "../../base/index.js";
import { attr } from "../ir/index.js";
import { toReference } from "../ops/index.js";
import { inferShapes } from "../passes/index.js";
import { buildStep, crossEntropy, meanSquaredError, sgd, type Step, type TrainOptions } from "./index.js";

const random = new Random(8);
const draw = (dims: readonly number[]): Tensor => {
  const size = dims.reduce((n, d) => n * d, 1);
  return tensorOf(
    "float32",
    dims,
    Array.from({ length: size }, () => random.normal()),
  );
};
/** Two linear layers; rows of a Gemm's weight are its output channels. */
const model = modelOf({
  inputs: { x: [4, 3] },
  outputs: { y: [4, 2] },
  initializers: { first: draw([5, 3]), second: draw([5, 2]), bias: draw([2]), count: int64s([1, 2]) },
  nodes: [
    node("Transpose", ["first"], ["t"]),
    node("MatMul", ["x", "t"], ["h"]),
    node("Tanh", ["h"], ["a"]),
    node("MatMul", ["a", "second"], ["m"]),
    node("Add", ["m", "bias"], ["y"]),
  ],
});
const x = draw([4, 3]);
const labels = tensorOf("int64", [4], [0, 1, 1, 0]);
const ALL = ["first", "second", "bias"];

const stepOf = (options: Partial<TrainOptions>, source = model): Step =>
  buildStep(inferShapes(source), {
    statistics: "fixed",
    train: { loss: crossEntropy(), optimizer: sgd(), parameters: ALL, ...options },
  });

/** The weights after one step in float64, and the measurements. */
function run(options: Partial<TrainOptions>) {
  const trainer = new ReferenceTrainer(stepOf(options));
  const report = trainer.run(toReference(x), { targets: toReference(labels), learningRate: 0.1 });
  return { ...report, weights: trainer.weights() };
}
const start = (name: string): Float64Array => toReference(model.graph.initializers.get(name)!).data;
const change = (options: Partial<TrainOptions>, name: string): Float64Array =>
  run(options)
    .weights.get(name)!
    .data.map((v, i) => v - start(name)[i]!);

describe("a training step", () => {
  test("multiplies the learning rate of single parameters", () => {
    const scale = new Map([
      ["first", 0.5],
      ["bias", 0],
    ]);
    const halved = change({ scale }, "first").map((v) => 2 * v);
    expect(maxDifference(halved, change({}, "first"))).toBeLessThan(1e-15);
    expect(maxDifference(change({ scale }, "second"), change({}, "second"))).toBe(0);
    expect(change({ scale }, "bias").every((v) => v === 0)).toBe(true);
  });

  test("shortens all gradients together to the largest norm, and reports the norm before", () => {
    const free = run({});
    const norm = free.gradientNorm!;
    const total = Math.hypot(...ALL.flatMap((name) => [...change({}, name)])) / 0.1;
    expect(norm).toBeCloseTo(total, 10);
    const clipNorm = norm / 4;
    expect(run({ clipNorm }).gradientNorm).toBe(norm);
    for (const name of ALL) {
      const expected = change({}, name).map((v) => (v * clipNorm) / (norm + 1e-6));
      expect(maxDifference(change({ clipNorm }, name), expected)).toBeLessThan(1e-12);
    }
    expect(maxDifference(change({ clipNorm: 2 * norm }, "first"), change({}, "first"))).toBe(0);
  });

  test("changes and carries only what it trains", () => {
    const step = stepOf({ parameters: ["second"], optimizer: sgd({ momentum: 0.9 }) });
    expect(step.state.map(({ role, initializer }) => [role, initializer])).toEqual([
      ["counter", undefined],
      ["parameter", "second"],
      ["optimizer", undefined],
    ]);
    expect([...step.model.graph.initializers.keys()]).toEqual(["first", "bias"]);
  });

  test("names no two values alike, whatever the model's are called", () => {
    const taken = modelOf({
      inputs: { labels: [4, 3] },
      outputs: { learning_rate: [4, 2] },
      initializers: { step_count: draw([3, 2]), "step/Neg:out": draw([2]) },
      nodes: [
        node("MatMul", ["labels", "step_count"], ["targets"]),
        node("Add", ["targets", "step/Neg:out"], ["learning_rate"]),
      ],
    });
    const step = stepOf({ parameters: ["step_count", "step/Neg:out"] }, taken);
    const names = [
      ...step.model.graph.inputs.map(({ name }) => name),
      ...step.model.graph.nodes.flatMap(({ outputs }) => outputs),
    ];
    expect(new Set(names).size).toBe(names.length);
    const trainer = new ReferenceTrainer(step);
    const report = trainer.run(toReference(x), { targets: toReference(labels), learningRate: 0.1 });
    expect(report.loss).toBeGreaterThan(0);
  });

  test.each([
    ["a parameter that the model does not have", { parameters: ["none"] }, "config.invalid", /"none"/],
    ["whole numbers as a parameter", { parameters: ["count"] }, "config.invalid", /int64/],
    ["a value that is computed as a parameter", { parameters: ["h"] }, "config.invalid", /"h"/],
    ["nothing to train", { parameters: [] }, "gradient.missing", /trainable/],
  ] as const)("refuses %s", (_, options, code, message) => {
    const build = () => stepOf(options);
    expect(build).toThrow(message);
    expect(build).toThrow(expect.toSatisfy((e) => isLimberError(e, code)));
  });

  test("names the op without a gradient between a parameter and the loss", () => {
    const hard = modelOf({
      inputs: { x: [4, 2] },
      outputs: { y: [4, 2] },
      initializers: { w: draw([2, 2, 2]) },
      nodes: [
        node("Exp", ["w"], ["e"]),
        node("Einsum", ["e"], ["z"], { equation: attr.string("iij->ij") }),
        node("MatMul", ["x", "z"], ["y"]),
      ],
    });
    expect(() => stepOf({ parameters: ["w"], loss: meanSquaredError }, hard)).toThrow(
      expect.toSatisfy(
        (e) => isLimberError(e, "gradient.missing") && e.context.op === "Einsum" && e.context.node === "z/Einsum",
      ),
    );
  });
});
