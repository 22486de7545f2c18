import { afterEach, describe, expect, test } from "vitest";
import { maxDifference } from "../../test/helpers/parity.js";
import { noiseBatch, parameterNames, tinyNetwork } from "../../test/helpers/tiny.js";
import {
  averaged,
  entropy,
  evaluate,
  inferShapes,
  type Loss,
  type Model,
  selectiveEntropy,
  sgd,
  sumSquaredGradients,
  TEACHER,
  type TrainOptions,
  writeModel,
} from "../graph/index.js";
import { Trainer } from "./node-trainer.js";
import type { RunTensor } from "./session.js";

const network = tinyNetwork();
const { images } = noiseBatch(8);
const SETTINGS = { learningRate: 0.5, statisticsMomentum: 0.25 };
const all = parameterNames(network);

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of open.splice(0)) await resource[Symbol.asyncDispose]();
});
function createTrainer(train: Partial<TrainOptions>): Trainer {
  const trainer = Trainer.create(network, {
    ...{ threads: 1, statistics: { sourceWeight: 0, variance: "unbiased" } },
    train: { loss: entropy, optimizer: sgd(), parameters: all, ...train },
  });
  open.push(trainer);
  return trainer;
}
const outputOf = (model: Model): Float64Array => {
  const bound = inferShapes(model, { batch: 8 });
  return evaluate(bound, { [bound.graph.inputs[0]!.name]: { ...images } }).get(bound.graph.outputs[0]!.name)!.data;
};
const difference = (found: RunTensor, expected: ArrayLike<number>): number =>
  maxDifference(found.data as Float32Array, expected);

describe("a forward pass of a trainer", () => {
  test("with stored statistics predicts as the model it would export, with any of its weights", async () => {
    const trainer = createTrainer({ optimizer: averaged(sgd(), { decay: 0.5 }) });
    for (let i = 0; i < 3; i++) await trainer.step({ images }, SETTINGS);
    const current = await trainer.predict(images, { statistics: "stored" });
    expect(difference(current.prediction, outputOf(await trainer.exportModel()))).toBeLessThan(1e-4);
    const source = await trainer.predict(images, { weights: "source", statistics: "stored" });
    expect(difference(source.prediction, outputOf(network))).toBeLessThan(1e-4);
    await trainer.predict(images, { weights: TEACHER, statisticsMomentum: 1 });
    const teacher = await trainer.predict(images, { weights: TEACHER, statistics: "stored" });
    const exported = await trainer.exportModel({ weights: TEACHER });
    expect(difference(teacher.prediction, outputOf(exported))).toBeLessThan(1e-4);
    expect(difference(teacher.prediction, current.prediction.data as Float32Array)).toBeGreaterThan(1e-3);
  });

  test("as the plan normalizes predicts what the next step does, and changes nothing", async () => {
    const trainer = createTrainer({});
    await trainer.step({ images }, SETTINGS);
    const before = writeModel(await trainer.exportModel());
    const { prediction } = await trainer.predict(images, { statisticsMomentum: 1 });
    expect(writeModel(await trainer.exportModel())).toEqual(before);
    const next = await trainer.step({ images }, SETTINGS);
    expect(difference(prediction, next.prediction.data as Float32Array)).toBeLessThan(1e-5);
  });

  test("reads weights of which only rows train", async () => {
    const name = all.find((each) => each.endsWith("conv1.weight"))!;
    const trainer = createTrainer({ rows: new Map([[name, [0, 2]]]) });
    await trainer.step({ images }, SETTINGS);
    const { prediction } = await trainer.predict(images, { statistics: "stored" });
    expect(difference(prediction, outputOf(await trainer.exportModel()))).toBeLessThan(1e-4);
  });

  test("refuses weights that there are none of", async () => {
    const refused = createTrainer({}).predict(images, { weights: "nobody" });
    await expect(refused).rejects.toMatchObject({ code: "config.invalid" });
  });
});

describe("a step whose loss", () => {
  test("sees nothing to learn from leaves weights alone and goes on with its statistics", async () => {
    const trainer = createTrainer({ loss: selectiveEntropy({ maximumEntropy: 0 }) });
    const report = await trainer.step({ images }, { ...SETTINGS, statisticsMomentum: 1 });
    expect(report).toMatchObject({ accepted: true, updated: false });
    const { initializers } = (await trainer.exportModel()).graph;
    for (const name of all) expect(initializers.get(name)!.data).toEqual(network.graph.initializers.get(name)!.data);
    const [mean] = [...initializers.keys()].filter((name) => name.endsWith("running_mean"));
    expect(initializers.get(mean!)!.data).not.toEqual(network.graph.initializers.get(mean!)!.data);
  });

  test("carries an array counts on, starts anew with a reset, and goes on where that keeps it", async () => {
    const counting: Loss = {
      name: "counting",
      targets: "none",
      build(context) {
        const count = context.carry("count", { dtype: "float32", dims: [], data: Float32Array.of(0) });
        const after = context.emit.add(count.before, 1);
        count.next(after);
        context.measure("count", after);
        return entropy.build(context);
      },
    };
    const trainer = createTrainer({ loss: counting });
    const next = async (): Promise<number> =>
      Number((await trainer.step({ images }, SETTINGS)).measures.count!.data[0]);
    expect([await next(), await next(), await next()]).toEqual([1, 2, 3]);
    await trainer.reset({ keeps: ["carried"] });
    expect(writeModel(await trainer.exportModel())).toEqual(writeModel(network));
    expect(await next()).toBe(4);
    await trainer.reset();
    expect(await next()).toBe(1);
  });

  test("asks for inputs refuses others, none, and other shapes", async () => {
    const scaled: Loss = {
      name: "scaled",
      targets: "none",
      build: (context) =>
        context.emit.mul(entropy.build(context), context.input("factor", { dtype: "float32", dims: [] })),
    };
    const trainer = createTrainer({ loss: scaled });
    const factor = (dims: readonly number[]): RunTensor => ({
      dtype: "float32",
      dims,
      data: new Float32Array(dims.reduce((n, d) => n * d, 1)).fill(2),
    });
    const plain = (await createTrainer({}).step({ images }, SETTINGS)).loss!;
    expect((await trainer.step({ images, inputs: { factor: factor([]) } }, SETTINGS)).loss).toBeCloseTo(2 * plain, 5);
    for (const [inputs, code] of [
      [{}, "config.invalid"],
      [{ factor: factor([]), other: factor([]) }, "config.invalid"],
      [{ factor: factor([2]) }, "shape.mismatch"],
    ] as const)
      await expect(trainer.step({ images, inputs }, SETTINGS)).rejects.toMatchObject({ code });
  });
});

test("what an optimizer keeps of rows reads as the whole parameter, zero elsewhere", async () => {
  const name = all.find((each) => each.endsWith("norm1.weight"))!;
  const trainer = createTrainer({ optimizer: sumSquaredGradients, parameters: [name], rows: new Map([[name, [1]]]) });
  await trainer.step({ images }, { learningRate: 0 });
  const found = (await trainer.readBuffer("importance")).get(name)!;
  expect(found.dims).toEqual(network.graph.initializers.get(name)!.dims);
  const places = [...(found.data as Float32Array).keys()].filter((at) => Number(found.data[at]) !== 0);
  expect(places).toEqual([1]);
});
