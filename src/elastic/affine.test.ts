import { expect, test } from "vitest";
import { noiseBatch, smallNetwork } from "../../test/helpers/tiny.js";
import { scalar, type Tensor, toNumbers } from "../base/index.js";
import { buildStep, crossEntropy, evaluate, inferShapes, parametersOf, sgd } from "../graph/index.js";
import { affine, filterAxes } from "./affine.js";

const model = smallNetwork();
const bound = inferShapes(model, { batch: 4 });
const names = parametersOf(model).map(({ name }) => name);
const axes = filterAxes(model, new Set(names.slice(-2)));
const { images, targets } = noiseBatch(4);
const [weight, learningRate] = [0.05, 0.1];
const buildWith = (loss = affine(crossEntropy(), { weight, axes, learningRate })) =>
  buildStep(bound, { statistics: "fixed", train: { loss, optimizer: sgd(), parameters: names } });
const step = buildWith();
const scalars = step.state.filter(({ role }) => role === "carried");

/** Numbers that no two filters share. */
const wavy = ({ dims, data }: Tensor, phase: number): Tensor => ({
  dtype: "float64",
  dims,
  data: new Float64Array(data.length).map((_, i) => 0.3 * Math.sin(i + phase)),
});
const started = new Map(scalars.map(({ input, initial }, i) => [input, wavy(initial, i)]));
const moved = new Map(
  step.state.flatMap(({ role, input, initial }): [string, Tensor][] => {
    if (role !== "parameter") return [];
    const data = Float64Array.from(toNumbers(initial), (value, i) => value + 0.02 * Math.cos(i));
    return [[input, { dtype: "float64", dims: initial.dims, data }]];
  }),
);

function run(of = step, changed: ReadonlyMap<string, Tensor> = new Map()) {
  const feeds = new Map<string, Tensor>(of.state.map(({ input, initial }) => [input, initial]));
  for (const [name, value] of [...started, ...moved, ...changed]) if (feeds.has(name)) feeds.set(name, value);
  feeds.set(of.inputs.data[0]!.name, images);
  feeds.set(of.inputs.targets!.name, targets);
  feeds.set(of.inputs.learningRate!, scalar("float32", 0));
  const kept = of.state.map(({ output }) => output);
  const values = evaluate(of.model, feeds, { outputs: [of.outputs.loss!, ...of.gradients, ...kept] });
  return { loss: values.get(of.outputs.loss!)!.data[0]!, values };
}

const nudged = (value: Tensor, at: number, by: number): Tensor => {
  const data = Float64Array.from(toNumbers(value));
  data[at]! += by;
  return { ...value, dtype: "float64", data };
};

const centralDifference = (name: string, value: Tensor, at: number): number => {
  const h = 2 ** -14;
  const lossAt = (by: number): number => run(step, new Map([[name, nudged(value, at, by)]])).loss;
  return (lossAt(h) - lossAt(-h)) / (2 * h);
};

test("pulls every weight but the classifier's towards an affine image of what it was", () => {
  const plain = run(buildWith(crossEntropy())).loss;
  let pull = 0;
  for (const [name, axis] of axes) {
    expect(axis).toBe(0);
    const source = model.graph.initializers.get(name)!;
    const [a, b] = ["scale", "shift"].map((kind) => started.get(`affine ${kind}:${name}:carried`)!.data);
    const inner = source.data.length / source.dims[0]!;
    toNumbers(moved.get(name)!).forEach((value, i) => {
      const filter = Math.floor(i / inner);
      pull += (Number(a![filter]) * value + Number(b![filter]) - Number(source.data[i])) ** 2;
    });
  }
  expect(axes.size).toBeGreaterThan(2);
  expect(run().loss).toBeCloseTo(plain + weight * pull, 9);
});

test("has the gradients of central differences, and its scalars follow theirs", () => {
  const { values } = run();
  const trained = step.state.filter(({ role }) => role === "parameter");
  for (const name of [...axes.keys()].slice(0, 2)) {
    const gradient = values.get(step.gradients[trained.findIndex(({ input }) => input === name)]!)!.data;
    for (const at of [0, 5, 17]) expect(gradient[at]).toBeCloseTo(centralDifference(name, moved.get(name)!, at), 6);
  }
  expect(scalars).toHaveLength(2 * axes.size);
  for (const { input, output } of scalars.slice(0, 4)) {
    const before = started.get(input)!;
    for (const at of [0, 3]) {
      const wanted = Number(before.data[at]) - learningRate * centralDifference(input, before, at);
      expect(values.get(output)!.data[at]).toBeCloseTo(wanted, 8);
    }
  }
});
