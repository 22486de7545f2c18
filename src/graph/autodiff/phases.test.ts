import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { Random, sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import { toReference } from "../ops/index.js";
import { inferShapes, tileElementwise } from "../passes/index.js";
import { evaluate } from "../reference/index.js";
import { adam, meanSquaredError, type Optimizer, sgd, splitUpdate, type Step, buildStep } from "./index.js";

const random = new Random(5);
const draw = (dims: readonly number[], toNumber = (v: number): number => v): Tensor =>
  tensorOf(
    "float32",
    dims,
    Array.from({ length: sizeOf(dims) }, () => toNumber(random.normal())),
  );

/** A pointwise convolution, whose weight ends in axes of one, and a linear layer. */
const model = modelOf({
  inputs: { x: [2, 3, 2, 2] },
  outputs: { y: [2, 4] },
  initializers: { kernel: draw([5, 3, 1, 1]), shift: draw([5]), matrix: draw([20, 4]) },
  nodes: [
    node("Conv", ["x", "kernel", "shift"], ["c"]),
    node("Tanh", ["c"], ["a"]),
    node("Flatten", ["a"], ["f"]),
    node("MatMul", ["f", "matrix"], ["y"]),
  ],
});
const batch = { x: draw([2, 3, 2, 2]), targets: draw([2, 4]) };

const stepWith = (optimizer: Optimizer, clipNorm?: number): Step =>
  buildStep(inferShapes(model), {
    statistics: "fixed",
    train: {
      loss: meanSquaredError,
      optimizer,
      parameters: ["kernel", "shift", "matrix"],
      ...(clipNorm !== undefined && { clipNorm }),
    },
  });

const optimizers: readonly (readonly [name: string, Optimizer, clipNorm: number | undefined])[] = [
  ["SGD with momentum and weight decay", sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.01 }), undefined],
  ["SGD under a norm of 0.1", sgd({ momentum: 0.9 }), 0.1],
  ["Adam", adam({}), undefined],
];

describe.each(optimizers)("a step of %s, split at its gradients", (_, optimizer, clipNorm) => {
  const step = stepWith(optimizer, clipNorm);
  const phases = splitUpdate(step)!;
  const feeds = new Map<string, Tensor>([
    ["x", batch.x],
    [step.inputs.targets!.name, batch.targets],
    [step.inputs.learningRate!, tensorOf("float32", [], [0.1])],
    // Momenta that are not zero, so that each of them is seen.
    ...step.state.map(({ input, initial, role }) => {
      const value = role === "optimizer" ? draw(initial.dims, Math.abs) : initial;
      return [input, value] as const;
    }),
  ]);
  const expected = evaluate(step.model, feeds);
  const found = evaluate(phases.gradients, feeds);
  const crossing = new Map(phases.crossing.map((name) => [name, found.get(name)!] as const));

  test("gives its measurements first, and then the same state", () => {
    const updated = evaluate(phases.update, new Map([...feeds, ...crossing]));
    for (const { name } of step.model.graph.outputs) {
      expect((updated.get(name) ?? found.get(name))?.data, name).toEqual(expected.get(name)!.data);
    }
  });

  test("may overwrite every array of its update", () => {
    expect(phases.inPlace.size).toBe(step.state.length);
  });

  test.each([1, 7, 1000])("gives the same state in pieces of %i elements", (size) => {
    const { model: tiled, tiles } = tileElementwise(phases.update, size);
    expect(tiled.graph.inputs.every(({ dims }) => dims!.length <= 1 && sizeOf(dims as number[]) <= size)).toBe(true);
    const whole = new Map([...[...feeds].map(([name, t]) => [name, toReference(t)] as const), ...crossing]);
    const pieces = [...whole].flatMap(([name, { dtype, data }]) =>
      (tiles.get(name) ?? []).map((tile) => {
        return [tile.name, tensorOf(dtype, [tile.length], data.slice(tile.from, tile.from + tile.length))] as const;
      }),
    );
    const updated = evaluate(tiled, new Map([...feeds, ...crossing, ...pieces]));
    const untiled = evaluate(phases.update, new Map([...feeds, ...crossing]));
    for (const { output } of step.state) {
      const parts = tiles.get(output)?.flatMap((tile) => [...updated.get(tile.name)!.data]) ?? [
        ...updated.get(output)!.data,
      ];
      const want = untiled.get(output)!.data;
      expect(parts.length).toBe(want.length);
      parts.forEach((v, i) => expect(v).toBeCloseTo(want[i]!, 6));
    }
  });
});

test("an array that is still read after its new value is known keeps a second buffer", () => {
  // m' = m + g, and w' = w + m: the old momentum may be read late.
  const late: Optimizer = {
    ...sgd(),
    buffers: ["momentum"],
    update: ({ emit, parameter, gradient, buffers: { momentum } }) => ({
      parameter: emit.add(parameter, momentum!),
      buffers: { momentum: emit.add(momentum!, gradient) },
    }),
  };
  const step = stepWith(late);
  const kept = [...splitUpdate(step)!.inPlace].map(({ role }) => role);
  expect(kept).toContain("parameter");
  expect(kept).not.toContain("optimizer");
});
