import { describe, expect, test } from "vitest";
import { CLASSES, noiseBatch, tinyNetwork } from "../../test/helpers/tiny.js";
import { scalar, type Tensor, tensorOf } from "../base/index.js";
import { addGates, buildStep, evaluate, fixSparsity, gatesOf, inferShapes, parametersOf, sgd } from "../graph/index.js";
import { BRANCHES, branchInputs, sandwich } from "./sandwich.js";

const BATCH = 3;
const gated = addGates(tinyNetwork(), { initial: "he", seed: 4 });
const gating = gatesOf(gated);
const image = gated.graph.inputs[0]!.name;
const penalty = 1e-3;
const shares = { middle: 0.3, other: 0.5, sparsest: 0.75, fixed: 0.5 } as const;
const data = Object.fromEntries(["own", ...BRANCHES].map((name, i) => [name, noiseBatch(BATCH, 10 + i)]));

const model = inferShapes(fixSparsity(gated, 0), { batch: BATCH });
const names = parametersOf(model).map(({ name }) => name);
const step = buildStep(model, {
  statistics: "fixed",
  train: { loss: sandwich({ gating, penalty }), optimizer: sgd(), parameters: names },
});

/** The loss and its gradients with other values for some weights. */
function run(weights: ReadonlyMap<string, Tensor> = new Map()) {
  const feeds = new Map<string, Tensor>(step.state.map(({ input, initial }) => [input, weights.get(input) ?? initial]));
  feeds.set(step.inputs.data[0]!.name, data.own!.images);
  feeds.set(step.inputs.targets!.name, data.own!.targets);
  feeds.set(step.inputs.learningRate!, scalar("float32", 0));
  for (const branch of BRANCHES) {
    const names = branchInputs(branch);
    const { images, targets } = data[branch]!;
    const sparsity = tensorOf("float32", [1], [shares[branch]]);
    for (const [key, value] of [
      [names.images, images],
      [names.labels, targets],
      [names.sparsity, sparsity],
    ] as const)
      feeds.set(step.inputs.extra.get(key)!.name, value);
  }
  const values = evaluate(step.model, feeds, { outputs: [step.outputs.loss!, ...step.gradients] });
  const trained = step.state.filter(({ role }) => role === "parameter");
  return {
    loss: values.get(step.outputs.loss!)!.data[0]!,
    gradientOf: (name: string) => values.get(step.gradients[trained.findIndex(({ input }) => input === name)]!)!.data,
  };
}

/** Cross-entropy of one batch at one sparsity by the gated model itself, its gates, and what is left of them. */
function lossAt(name: string, share: number, instead: ReadonlyMap<string, Tensor> = new Map()) {
  const { images, targets } = data[name]!;
  const sparsity = tensorOf("float32", [1], [share]);
  const output = gated.graph.outputs[0]!.name;
  const shown = gating.gates.flatMap(({ scores, vector }) => [scores, vector]);
  const feeds = new Map<string, Tensor>([[image, images], [gating.sparsity, sparsity], ...instead]);
  const values = evaluate(gated, feeds, { outputs: [output, ...shown] });
  let loss = 0;
  for (let row = 0; row < BATCH; row++) {
    const own = Array.from(values.get(output)!.data.subarray(row * CLASSES, (row + 1) * CLASSES));
    loss += (Math.log(own.reduce((sum, v) => sum + Math.exp(v), 0)) - own[Number(targets.data[row])]!) / BATCH;
  }
  const gates = gating.gates.reduce((sum, { scores }) => sum + values.get(scores)!.data.reduce((a, b) => a + b), 0);
  return { loss, gates, values };
}

/** The fifth batch in the sub-network of its first image. */
function fixedLoss(weights: ReadonlyMap<string, Tensor> = new Map()): number {
  const { values } = lossAt("fixed", shares.fixed, weights);
  const vectors = gating.gates.map(({ vector, size }): [string, Tensor] => {
    const first = Array.from(values.get(vector)!.data.subarray(0, size));
    const rows = Float64Array.from(Array<number[]>(BATCH).fill(first).flat());
    return [vector, { dtype: "float64", dims: [BATCH, size], data: rows }];
  });
  return lossAt("fixed", 0, new Map([...weights, ...vectors])).loss;
}

describe("the sandwich loss", () => {
  test("is the mean of four batches at their sparsities with their gates, and a fifth in the sub-network of its first image", () => {
    const joint = [
      ["own", 0],
      ["middle", 0.3],
      ["other", 0.5],
      ["sparsest", 0.75],
    ] as const;
    const terms = joint.map(([name, share]) => lossAt(name, share)).map(({ loss, gates }) => loss + penalty * gates);
    expect(run().loss).toBeCloseTo(terms.reduce((a, b) => a + b) / 4 + fixedLoss(), 9);
  });

  test("has the gradients of central differences, with the gates of the sub-network as constants", () => {
    const { gradientOf } = run();
    const bias = gating.gates[2]!.parameters[1]!;
    const initial = gated.graph.initializers.get(bias)!;
    const gradient = gradientOf(bias);
    const step = 2 ** -12;
    for (const i of [0, 3, 7]) {
      const jointAt = (by: number): number => {
        const data = Float64Array.from(initial.data as Float32Array);
        data[i]! += by;
        const moved = new Map<string, Tensor>([[bias, { dtype: "float64", dims: initial.dims, data }]]);
        return run(moved).loss - fixedLoss(moved);
      };
      expect(gradient[i]).toBeCloseTo((jointAt(step) - jointAt(-step)) / (2 * step), 5);
      expect(gradient[i]).not.toBe(0);
    }
    for (const name of names) expect(gradientOf(name).some((value) => value !== 0)).toBe(true);
  });
});
