import { afterEach, describe, expect, test } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { maxDifference, ReferenceTrainer } from "../../test/helpers/parity.js";
import { foldedNetwork, noiseBatch, parameterNames, tinyNetwork } from "../../test/helpers/tiny.js";
import { tensorOf } from "../base/index.js";
import {
  adam,
  attr,
  buildStep,
  crossEntropy,
  inferShapes,
  lastLayersOf,
  meanSquaredError,
  type Model,
  type Optimizer,
  prepareModel,
  readModel,
  sgd,
  toReference,
  writeModel,
} from "../graph/index.js";
import { createMachine } from "./machine.js";
import { Predictor } from "./predictor.js";
import { readTensorFile, writeTensorFile } from "./safetensors.js";
import { Trainer, type TrainerOptions } from "./node-trainer.js";

const SETTINGS = { learningRate: 0.05, statisticsMomentum: 0.1 };
const BATCH_STATISTICS = { sourceWeight: 0, variance: "unbiased" } as const;
const network = tinyNetwork();
const training = (model: Model, changes: Partial<TrainerOptions> = {}): TrainerOptions => ({
  threads: 1,
  statistics: BATCH_STATISTICS,
  train: { loss: crossEntropy(), optimizer: sgd({ momentum: 0.9 }), parameters: parameterNames(model) },
  ...changes,
});
const adamTraining = training(network, {
  train: { loss: crossEntropy(), optimizer: adam(), parameters: parameterNames(network) },
});

/** The same model with one scale and one bias for all normalizations of a width, as exporters write equal weights. */
function sharing(model: Model): Model {
  const nodes = model.graph.nodes.map((n) => {
    if (n.op !== "BatchNormalization") return n;
    const width = model.graph.initializers.get(n.inputs[1]!)!.dims[0];
    const first = model.graph.nodes.find(
      ({ op, inputs }) => op === n.op && model.graph.initializers.get(inputs[1]!)!.dims[0] === width,
    )!;
    return { ...n, inputs: [n.inputs[0]!, first.inputs[1]!, first.inputs[2]!, ...n.inputs.slice(3)] };
  });
  return prepareModel({ ...model, graph: { ...model.graph, nodes } });
}

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of open.splice(0)) await resource[Symbol.asyncDispose]();
});
function createTrainer(options = training(network), model = network): Trainer {
  const trainer = Trainer.create(model, options);
  open.push(trainer);
  return trainer;
}

const [first, second] = [noiseBatch(8, 1), noiseBatch(8, 2)];
const withPixel = (value: number): typeof first => {
  const data = first.images.data.slice();
  data[100] = value;
  return { ...first, images: { ...first.images, data } };
};

const late = lastLayersOf(network, 1 / 3).map(({ name }) => name);
const partly = (changes: Partial<TrainerOptions> = {}): TrainerOptions =>
  training(network, {
    statistics: { ...BATCH_STATISTICS, layers: "trained" },
    train: { loss: crossEntropy(), optimizer: adam(), parameters: late },
    ...changes,
  });
/** The same border, the mean of each batch taken from its images. */
function mixing(model: Model): Model {
  const name = model.graph.inputs[0]!.name;
  const axes = { axes: attr.ints([0]) };
  const nodes = [node("ReduceMean", [name], ["mean"], axes), node("Sub", [name, "mean"], ["centred"])];
  const rest = model.graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map((i) => (i === name ? "centred" : i)) }));
  return { ...model, graph: { ...model.graph, nodes: [...nodes, ...rest] } };
}
const ids = (start: number): number[] =>
  first.targets.dims.flatMap((n) => Array.from({ length: n }, (_, i) => start + i));
/** Half of each batch, under the ids that its images have there. */
const mixed = (() => {
  const half = first.images.data.length / 2;
  const data = new Float32Array(2 * half);
  data.set(first.images.data.subarray(half) as Float32Array);
  data.set(second.images.data.subarray(0, half) as Float32Array, half);
  return {
    images: { ...first.images, data },
    targets: first.targets,
    samples: [...ids(0).slice(4), ...ids(8).slice(0, 4)],
  };
})();
const epochs = [{ ...first, samples: ids(0) }, { ...second, samples: ids(8) }, mixed, mixed];

describe("steps on samples that come again", () => {
  const sampleBytes = 4 * 12 * 8 * 8; // the value in front of the last block
  test.each([
    ["all", 16, { hits: 16, misses: 16 }],
    ["half of the", 8.5, { hits: 8, misses: 24 }],
    ["no", 0, { hits: 0, misses: 32 }],
  ])("give the same bytes with room for %s activations of frozen layers", async (_, room, counts) => {
    const cacheBytes = room * sampleBytes;
    const [trainer, control] = [createTrainer(partly({ cacheBytes })), createTrainer(partly())];
    for (const batch of epochs) {
      const { runMs, ...report } = await trainer.step(batch, SETTINGS);
      expect(runMs).toBeGreaterThan(0);
      expect(report.accepted).toBe(true);
      expect(await control.step(batch, SETTINGS)).toMatchObject(report);
    }
    expect(await trainer.checkpoint()).toEqual(await control.checkpoint());
    expect(trainer.cache).toEqual({ ...counts, sizeBytes: Math.floor(room) * sampleBytes });
  });

  test("train as they do without ids, but for rounding", async () => {
    const [split, whole] = [createTrainer(partly()), createTrainer(partly())];
    for (const { samples, ...batch } of epochs) {
      const reports = [await split.step({ ...batch, samples }, SETTINGS), await whole.step(batch, SETTINGS)];
      const [a, b] = reports.map(({ prediction }) => prediction.data as Float32Array);
      expect(maxDifference(a!, b!)).toBeLessThan(1e-5);
    }
    expect(split.cache.hits).toBe(16);
    const [a, b] = [await split.exportModel(), await whole.exportModel()].map(({ graph }) => graph.initializers);
    for (const [name, { data }] of a!) {
      const other = b!.get(name)!.data as Float32Array;
      expect(maxDifference(data as Float32Array, other), name).toBeLessThan(1e-5);
    }
  });

  test("are computed again after they were forgotten, and stay known through a reset", async () => {
    const trainer = createTrainer(partly());
    await trainer.step(epochs[0]!, SETTINGS);
    await trainer.reset();
    await trainer.step(epochs[0]!, SETTINGS);
    expect(trainer.cache).toMatchObject({ hits: 8, misses: 8 });
    trainer.forgetSamples();
    expect(trainer.cache.sizeBytes).toBe(0);
    await trainer.step(epochs[0]!, SETTINGS);
    expect(trainer.cache).toMatchObject({ hits: 8, misses: 16 });
  });

  test.each([
    ["every layer trains", network, training(network)],
    ["statistics of the batch reach every layer", network, partly({ statistics: BATCH_STATISTICS })],
    ["a frozen layer mixes the samples of a batch", mixing(network), partly()],
  ])("start from the image where %s", async (_, model, options) => {
    const [trainer, control] = [createTrainer(options, model), createTrainer(options, model)];
    for (const { samples, ...batch } of epochs.slice(0, 3)) {
      await trainer.step({ ...batch, samples }, SETTINGS);
      await control.step(batch, SETTINGS);
    }
    expect(trainer.cache).toEqual({ hits: 0, misses: 0, sizeBytes: 0 });
    expect(await trainer.checkpoint()).toEqual(await control.checkpoint());
  });

  test("are known in batches of another size, and give the same bytes there", async () => {
    const [trainer, control] = [createTrainer(partly()), createTrainer(partly({ cacheBytes: 0 }))];
    const half = { dtype: "float32", dims: [4, 3, 16, 16], data: first.images.data.subarray(0, 4 * 768) } as const;
    const targets = { ...first.targets, dims: [4], data: first.targets.data.subarray(0, 4) };
    for (const t of [trainer, control])
      for (const batch of [epochs[0]!, { images: half, targets, samples: [0, 1, 2, 3] }]) await t.step(batch, SETTINGS);
    expect(trainer.cache).toMatchObject({ hits: 4, misses: 8 });
    expect(await trainer.checkpoint()).toEqual(await control.checkpoint());
  });

  test("are refused without an id for each", async () => {
    const step = createTrainer(partly()).step({ ...first, samples: [1, 2] }, SETTINGS);
    await expect(step).rejects.toThrow("got 2");
  });
});

describe("steps that train some rows of a weight", () => {
  const rows = new Map(late.filter((name) => name.endsWith("weight")).map((name) => [name, [0, 2, 3]]));
  const optimizer = sgd();
  const some = partly({ train: { loss: crossEntropy(), optimizer, parameters: late, rows } });
  const all = partly({ train: { loss: crossEntropy(), optimizer, parameters: late } });

  test("change these rows as training of all does, and no other bit", async () => {
    const [part, whole] = [createTrainer(some), createTrainer(all)];
    for (const trainer of [part, whole]) await trainer.step(first, SETTINGS);
    const [found, full] = [await part.exportModel(), await whole.exportModel()].map(({ graph }) => graph.initializers);
    for (const [name, indices] of rows) {
      const [before, after, expected] = [network.graph.initializers, found!, full!].map(
        (m) => m.get(name)!.data as Float32Array,
      );
      const rowSize = before!.length / network.graph.initializers.get(name)!.dims[0]!;
      const isTrained = (i: number): boolean => indices.includes(Math.floor(i / rowSize));
      const wanted = before!.map((value, i) => (isTrained(i) ? expected![i]! : value));
      expect(maxDifference(after!, wanted), name).toBeLessThan(1e-6);
      expect(
        after!.filter((_, i) => !isTrained(i)),
        name,
      ).toEqual(before!.filter((_, i) => !isTrained(i)));
      expect(after, name).not.toEqual(before);
    }
  });

  test("go on from a checkpoint of the same rows, and refuse that of others", async () => {
    const [trainer, resumed] = [createTrainer(some), createTrainer(some)];
    await trainer.step(first, SETTINGS);
    await resumed.restore(await trainer.checkpoint(), first.images.dims);
    for (const t of [trainer, resumed]) await t.step(second, SETTINGS);
    expect(await resumed.checkpoint()).toEqual(await trainer.checkpoint());
    const others = new Map([...rows].map(([name]) => [name, [0, 1, 3]]));
    const other = createTrainer({ ...some, train: { ...some.train!, rows: others } });
    const restored = other.restore(await trainer.checkpoint(), first.images.dims);
    await expect(restored).rejects.toMatchObject({ code: "data.invalid" });
  });
});

describe("steps", () => {
  test("lower the loss", async () => {
    const trainer = createTrainer();
    const losses: number[] = [];
    for (let i = 0; i < 12; i++) losses.push((await trainer.step(first, SETTINGS)).loss!);
    expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
  });

  test("whose answers are not wanted train to the same bytes and tell the same loss", async () => {
    const [loud, quiet] = [createTrainer(), createTrainer()];
    for (const batch of [first, second]) {
      const { prediction, observed, runMs, ...told } = await loud.step(batch, SETTINGS);
      expect(prediction.dims[0]).toBe(8);
      expect(observed).toEqual({});
      const { runMs: otherMs, ...silent } = await quiet.step(batch, { ...SETTINGS, answers: false });
      expect(silent).toEqual(told);
      expect(Math.min(runMs, otherMs)).toBeGreaterThan(0);
    }
    expect(await quiet.checkpoint()).toEqual(await loud.checkpoint());
    const broken = await quiet.step(withPixel(NaN), { ...SETTINGS, answers: false });
    expect(broken.accepted).toBe(false);
    expect(await quiet.checkpoint()).toEqual(await loud.checkpoint());
  });

  test.each([NaN, Infinity])(
    "with %d in an image are refused, and the next is as if they had not been",
    async (value) => {
      const [trainer, control] = [createTrainer(adamTraining), createTrainer(adamTraining)];
      for (const t of [trainer, control]) await t.step(first, SETTINGS);
      const before = await trainer.checkpoint();
      expect(await trainer.step(withPixel(value), SETTINGS)).toMatchObject({ accepted: false });
      expect(await trainer.checkpoint()).toEqual(before);
      for (const t of [trainer, control]) expect(await t.step(second, SETTINGS)).toMatchObject({ accepted: true });
      expect(await trainer.checkpoint()).toEqual(await control.checkpoint());
    },
  );

  test("with an infinite gradient under a finite loss are refused", async () => {
    // The slope of a root is infinite at zero.
    const model = modelOf({
      inputs: { x: ["batch", 1] },
      outputs: { y: ["batch", 1] },
      initializers: { w: tensorOf("float32", [1, 1], [0]) },
      nodes: [node("MatMul", ["x", "w"], ["h"]), node("Sqrt", ["h"], ["y"])],
    });
    const train = { loss: meanSquaredError, optimizer: sgd({ momentum: 0.9 }), parameters: ["w"] };
    const trainer = createTrainer(training(model, { train }), model);
    const column = (value: number) => ({ dtype: "float32", dims: [1, 1], data: Float32Array.of(value) }) as const;
    await trainer.warmUp([1, 1]);
    const before = await trainer.checkpoint();
    const report = await trainer.step({ images: column(1), targets: column(1) }, SETTINGS);
    expect(report).toMatchObject({ loss: 1, gradientNorm: Infinity, accepted: false });
    expect(await trainer.checkpoint()).toEqual(before);
  });

  test("whose variance overflows are refused although the prediction is finite", async () => {
    const trainer = createTrainer({ threads: 1, statistics: BATCH_STATISTICS });
    await trainer.step(first, SETTINGS);
    const before = await trainer.checkpoint();
    const report = await trainer.step(withPixel(1e25), SETTINGS);
    expect(report.prediction.data.every(Number.isFinite)).toBe(true);
    expect(report.accepted).toBe(false);
    expect(await trainer.checkpoint()).toEqual(before);
  });

  test("of two batch sizes share the weights", async () => {
    const [trainer, control] = [createTrainer(), createTrainer()];
    const small = noiseBatch(4, 3);
    for (const t of [trainer, control]) await t.step(first, SETTINGS);
    await trainer.step(small, SETTINGS);
    const fresh = createTrainer();
    await fresh.restore(await control.checkpoint(), small.images.dims);
    await fresh.step(small, SETTINGS);
    expect(await trainer.checkpoint()).toEqual(await fresh.checkpoint());
  });

  test("of two image sizes share the weights where the model allows both", async () => {
    const folded = foldedNetwork();
    const [input] = folded.graph.inputs;
    const inputs = [{ ...input!, dims: ["batch", 3, "height", "width"] }];
    const model = { ...folded, graph: { ...folded.graph, inputs } };
    const trainer = createTrainer(training(model), model);
    const { images, targets } = noiseBatch(8);
    const before = await trainer.step({ images, targets }, SETTINGS);
    const wide = { ...images, dims: [8, 3, 8, 32] };
    expect(await trainer.step({ images: wide, targets }, SETTINGS)).toMatchObject({ accepted: true });
    expect((await trainer.step({ images, targets }, SETTINGS)).loss).not.toBe(before.loss);
  });

  test.each([1, 2])("give the same bytes in every run on %d threads", async (threads) => {
    const runs = [];
    for (let run = 0; run < 2; run++) {
      const trainer = createTrainer({ ...adamTraining, threads });
      for (const batch of [first, second, first]) await trainer.step(batch, SETTINGS);
      runs.push(await trainer.checkpoint());
    }
    expect(runs[0]).toEqual(runs[1]);
  });

  const { images, targets } = first;
  test.each([
    ["images of another size", { images: { ...images, dims: [8, 3, 32, 8] }, targets }, {}, "shape.mismatch"],
    ["images of another type", { images: { ...images, dtype: "float64" }, targets }, {}, "shape.mismatch"],
    [
      "too few labels",
      { images, targets: { ...targets, dims: [7], data: targets.data.slice(1) } },
      {},
      "shape.mismatch",
    ],
    ["labels of another type", { images, targets: { ...targets, dtype: "int32" } }, {}, "shape.mismatch"],
    [
      "a label of no class",
      { images, targets: { ...targets, data: new BigInt64Array(8).fill(4n) } },
      {},
      "data.invalid",
    ],
    ["a negative label", { images, targets: { ...targets, data: new BigInt64Array(8).fill(-1n) } }, {}, "data.invalid"],
    ["no labels", { images }, {}, "config.invalid"],
    ["no learning rate", first, { learningRate: undefined }, "config.invalid"],
    ["a learning rate that is no number", first, { learningRate: NaN }, "config.invalid"],
    ["an infinite momentum", first, { statisticsMomentum: Infinity }, "config.invalid"],
  ] as const)("refuse %s", async (_, batch, settings, code) => {
    const refused = createTrainer().step(batch, { ...SETTINGS, ...settings });
    await expect(refused).rejects.toMatchObject({ name: "LimberError", code });
  });
});

describe("a trainer", () => {
  test("goes back to the start, to the byte", async () => {
    const trainer = createTrainer(adamTraining);
    await trainer.reset();
    await trainer.warmUp(first.images.dims);
    const start = await trainer.checkpoint();
    await trainer.step(first, SETTINGS);
    expect(await trainer.checkpoint()).not.toEqual(start);
    await trainer.reset();
    expect(await trainer.checkpoint()).toEqual(start);
    expect(writeModel(await trainer.exportModel())).toEqual(writeModel(network));
  });

  test("goes on from a checkpoint to the same bytes", async () => {
    const [whole, begun, resumed] = [
      createTrainer(adamTraining),
      createTrainer(adamTraining),
      createTrainer(adamTraining),
    ];
    for (const batch of [first, second, first]) await whole.step(batch, SETTINGS);
    await begun.step(first, SETTINGS);
    const metadata = await resumed.restore(await begun.checkpoint({ note: "here" }), first.images.dims);
    expect(metadata).toEqual({ note: "here" });
    for (const batch of [second, first]) await resumed.step(batch, SETTINGS);
    expect(await resumed.checkpoint()).toEqual(await whole.checkpoint());
  });

  const narrower = (bytes: Uint8Array): Uint8Array => {
    const { tensors, metadata } = readTensorFile(bytes);
    const [name, value] = [...tensors][0]!;
    const shape = { ...value, dims: [1, ...value.dims] };
    return writeTensorFile({ tensors: new Map([...tensors, [name, shape]]), metadata });
  };
  test.each([
    ["truncated", (bytes: Uint8Array) => bytes.slice(0, -5)],
    ["empty", () => new Uint8Array()],
    ["without arrays", () => writeTensorFile({ tensors: new Map(), metadata: {} })],
    ["with an array of another shape", narrower],
    [
      "of a method with more arrays",
      async () => {
        const other = createTrainer(adamTraining);
        await other.step(first, SETTINGS);
        return other.checkpoint();
      },
    ],
    [
      "of another model",
      async () => {
        const model = foldedNetwork();
        const other = createTrainer(training(model), model);
        await other.step(first, SETTINGS);
        return other.checkpoint();
      },
    ],
  ])("refuses a checkpoint %s and stays as it is", async (_, damage) => {
    const trainer = createTrainer();
    await trainer.step(first, SETTINGS);
    const before = await trainer.checkpoint();
    const bytes = await damage(before);
    await expect(trainer.restore(bytes, first.images.dims)).rejects.toMatchObject({ code: "data.invalid" });
    expect(await trainer.checkpoint()).toEqual(before);
  });

  test("exports the model with the same border, names and metadata, and new weights", async () => {
    const model = { ...network, metadata: new Map([["owner", "me"]]) };
    const trainer = createTrainer(training(model), model);
    await trainer.step(first, SETTINGS);
    const { graph, ...rest } = readModel(writeModel(await trainer.exportModel()));
    const { graph: before, ...restBefore } = readModel(writeModel(model));
    expect(rest).toEqual(restBefore);
    expect({ ...graph, initializers: [] }).toEqual({ ...before, initializers: [] });
    expect(graph.inputs[0]!.dims).toEqual(["batch", 3, 16, 16]);
    expect([...graph.initializers.keys()]).toEqual([...before.initializers.keys()]);
    for (const [name, { dtype, dims, data }] of graph.initializers) {
      expect({ dtype, dims }).toEqual({ dtype: "float32", dims: before.initializers.get(name)!.dims });
      expect(data, name).not.toEqual(before.initializers.get(name)!.data);
    }
  });

  test("gives back the model itself when it has changed nothing", async () => {
    const trainer = createTrainer({ threads: 1, statistics: "fixed" });
    await trainer.step({ images: first.images });
    expect(await trainer.exportModel()).toBe(network);
  });

  test.each([
    ["own scales", network],
    ["shared scales and biases", sharing(network)],
  ])("exports tracked statistics that predict a batch as its own did, with %s", async (_, model) => {
    const machine = createMachine();
    open.push(machine);
    const trainer = createTrainer({ threads: 1, statistics: { sourceWeight: 0, variance: "biased" } }, model);
    const { prediction } = await trainer.step({ images: first.images }, { statisticsMomentum: 1 });
    const predictor = await Predictor.create(machine, await trainer.exportModel(), { threads: 1 });
    const { output } = await predictor.predict(first.images);
    expect(maxDifference(output.data as Float32Array, prediction.data as Float32Array)).toBeLessThan(1e-5);
  });

  test("predicts what the exported model predicts", async () => {
    const machine = createMachine();
    open.push(machine);
    const trained = createTrainer();
    for (const batch of [first, second, first]) await trained.step(batch, SETTINGS);
    const exported = await trained.exportModel();
    const evaluation = createTrainer({ threads: 1, statistics: "fixed" }, exported);
    const { prediction } = await evaluation.step({ images: second.images });
    const { output } = await (await Predictor.create(machine, exported, { threads: 1 })).predict(second.images);
    expect(output.dims).toEqual(prediction.dims);
    expect(maxDifference(output.data as Float32Array, prediction.data as Float32Array)).toBeLessThan(1e-5);
  });

  test("keeps its weights apart from those of another one on the same machine", async () => {
    const machine = createMachine();
    open.push(machine);
    const [a, b] = [
      Trainer.create(network, { ...adamTraining, machine }),
      Trainer.create(network, { ...adamTraining, machine }),
    ];
    await a.step(first, SETTINGS);
    const before = await a.checkpoint();
    await b.step(second, SETTINGS);
    expect(await a.checkpoint()).toEqual(before);
    expect(await b.checkpoint()).not.toEqual(before);
  });

  test.each(["its own", "a shared"])("refuses to work after it was disposed, on %s machine", async (kind) => {
    const machine = kind === "a shared" ? createMachine() : undefined;
    if (machine) open.push(machine);
    const trainer = Trainer.create(network, training(network, { machine }));
    await trainer.step(first, SETTINGS);
    await trainer[Symbol.asyncDispose]();
    await expect(trainer.step(first, SETTINGS)).rejects.toMatchObject({ code: "run.failed" });
    if (machine) expect((await machine.memory()).residentBytes).toBeGreaterThan(0);
  });
});

test("an array that is still read after its new value is known goes on from that value in the next step", async () => {
  const late: Optimizer = {
    ...{ name: "late", buffers: ["before"] },
    update: ({ emit, parameter, gradient, learningRate, buffers: { before } }) => ({
      parameter: emit.sub(parameter, emit.mul(before!, learningRate)),
      buffers: { before: emit.add(before!, gradient) },
    }),
  };
  const options = training(network, {
    statistics: "fixed",
    train: { loss: crossEntropy(), optimizer: late, parameters: parameterNames(network) },
  });
  const trainer = createTrainer(options);
  const reference = new ReferenceTrainer(buildStep(inferShapes(network, { batch: 8 }), options));
  for (const { images, targets } of [first, second, first]) {
    await trainer.step({ images, targets }, SETTINGS);
    reference.run(toReference(images), { targets: toReference(targets), ...SETTINGS });
  }
  const { initializers } = (await trainer.exportModel()).graph;
  for (const [name, { data }] of reference.weights())
    expect(maxDifference(initializers.get(name)!.data as Float32Array, data), name).toBeLessThan(1e-4);
});
