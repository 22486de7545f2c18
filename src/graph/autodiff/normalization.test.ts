import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { maxDifference, ReferenceTrainer } from "../../../test/helpers/parity.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { isLimberError, Random, type Tensor, tensorOf, toNumbers } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { toReference } from "../ops/index.js";
import { inferShapes } from "../passes/index.js";
import { evaluate } from "../reference/index.js";
import { buildStep, crossEntropy, sgd, softCrossEntropy, type StepOptions } from "./index.js";

const EPSILON = 1e-3;
const [N, C, H, W] = [3, 2, 2, 4] as const;
const random = new Random(4);
const draw = (dims: readonly number[], center = 0): Tensor => {
  const size = dims.reduce((n, d) => n * d, 1);
  return tensorOf(
    "float32",
    dims,
    Array.from({ length: size }, () => center + random.normal()),
  );
};
const images = draw([N, C, H, W], 2);
const STORED = { mean: [0.5, -1], variance: [2, 0.25] };
const SCALE = [1.5, -0.5];
const BIAS = [0.25, 1];
const perChannel = (values: readonly number[]): Tensor => tensorOf("float32", [C], values);

/** One or two normalizations behind each other; two share their scale and bias. */
function network(norms: 1 | 2): Model {
  const attributes = { epsilon: attr.float(EPSILON) };
  const norm = (x: string, y: string, i: number) =>
    node("BatchNormalization", [x, "scale", "bias", `mean${i}`, `variance${i}`], [y], attributes);
  const initializers = { scale: perChannel(SCALE), bias: perChannel(BIAS) };
  const stored = (i: number) => ({
    [`mean${i}`]: perChannel(STORED.mean),
    [`variance${i}`]: perChannel(STORED.variance),
  });
  return modelOf({
    inputs: { x: [N, C, H, W] },
    outputs: { y: [N, C] },
    initializers: { ...initializers, ...stored(0), ...(norms === 2 && stored(1)) },
    nodes: [
      norm("x", "h0", 0),
      ...(norms === 2 ? [node("Relu", ["h0"], ["r"]), norm("r", "h1", 1)] : []),
      node("ReduceMax", [norms === 2 ? "h1" : "h0"], ["y"], { axes: attr.ints([2, 3]), keepdims: attr.int(0) }),
    ],
  });
}

const trainerOf = (model: Model, options: StepOptions): ReferenceTrainer =>
  new ReferenceTrainer(buildStep(inferShapes(model), options));

/** Mean and variance of each channel, straight from the definition. */
function momentsOf(x: ArrayLike<number>, correction: "biased" | "unbiased"): { mean: number[]; variance: number[] } {
  const values = Array.from({ length: C }, (_, c) => Array.from(x).filter((_, i) => Math.floor(i / (H * W)) % C === c));
  const mean = values.map((list) => list.reduce((a, b) => a + b, 0) / list.length);
  const variance = values.map((list, c) => {
    const squares = list.reduce((sum, v) => sum + (v - mean[c]!) ** 2, 0);
    return squares / (correction === "biased" ? list.length : list.length - 1);
  });
  return { mean, variance };
}

/** The prediction of the network with one normalization for given moments. */
function predict({ mean, variance }: { mean: readonly number[]; variance: readonly number[] }): number[] {
  const x = toNumbers(images);
  return Array.from({ length: N * C }, (_, nc) => {
    const c = nc % C;
    const map = x.slice(nc * H * W, (nc + 1) * H * W);
    return Math.max(...map.map((v) => (SCALE[c]! * (v - mean[c]!)) / Math.sqrt(variance[c]! + EPSILON) + BIAS[c]!));
  });
}
const mixed = (p: number, source: readonly number[], target: readonly number[]): number[] =>
  source.map((s, c) => p * s + (1 - p) * target[c]!);

describe("normalization of a step", () => {
  test.each([
    [0, "biased"],
    [0, "unbiased"],
    [0.25, "biased"],
    [0.25, "unbiased"],
    [1, "unbiased"],
  ] as const)("mixes the source by %d with %s statistics of the batch, and tracks what it mixed", (p, variance) => {
    const batch = momentsOf(toNumbers(images), variance);
    const used = {
      mean: mixed(p, STORED.mean, batch.mean),
      variance: mixed(p, STORED.variance, batch.variance),
    };
    const trainer = trainerOf(network(1), { statistics: { sourceWeight: p, variance } });
    const { prediction } = trainer.run(toReference(images), { statisticsMomentum: 0.1 });
    // A pure batch is normalized by its biased variance whatever is tracked, as in training everywhere.
    const normalizes = p === 0 ? momentsOf(toNumbers(images), "biased") : used;
    expect(maxDifference(prediction.data, predict(normalizes))).toBeLessThan(1e-12);
    const tracked = trainer.weights();
    expect(maxDifference(tracked.get("mean0")!.data, mixed(0.9, STORED.mean, used.mean))).toBeLessThan(1e-12);
    expect(maxDifference(tracked.get("variance0")!.data, mixed(0.9, STORED.variance, used.variance))).toBeLessThan(
      1e-12,
    );
  });

  test.each([
    [0, STORED],
    [1, momentsOf(toNumbers(images), "unbiased")],
  ])("tracks with momentum %d nothing or everything", (statisticsMomentum, expected) => {
    const trainer = trainerOf(network(1), { statistics: { sourceWeight: 0, variance: "unbiased" } });
    for (let i = 0; i < 2; i++) trainer.run(toReference(images), { statisticsMomentum });
    expect(maxDifference(trainer.weights().get("mean0")!.data, expected.mean)).toBeLessThan(1e-12);
    expect(maxDifference(trainer.weights().get("variance0")!.data, expected.variance)).toBeLessThan(1e-12);
  });

  test("tracks the mean over steps when the momentum of step t is 1/t", () => {
    const trainer = trainerOf(network(1), { statistics: { sourceWeight: 0, variance: "unbiased" } });
    const batches = [images, draw([N, C, H, W], -1), draw([N, C, H, W], 5)];
    batches.forEach((batch, t) => trainer.run(toReference(batch), { statisticsMomentum: 1 / (t + 1) }));
    const moments = batches.map((batch) => momentsOf(toNumbers(batch), "unbiased"));
    const average = (of: (m: (typeof moments)[number]) => number[]): number[] =>
      [0, 1].map((c) => moments.reduce((sum, m) => sum + of(m)[c]!, 0) / 3);
    expect(
      maxDifference(
        trainer.weights().get("mean0")!.data,
        average((m) => m.mean),
      ),
    ).toBeLessThan(1e-12);
    expect(
      maxDifference(
        trainer.weights().get("variance0")!.data,
        average((m) => m.variance),
      ),
    ).toBeLessThan(1e-12);
  });

  test("with fixed statistics leaves the graph as it is and tracks nothing", () => {
    const step = buildStep(inferShapes(network(1)), { statistics: "fixed" });
    expect(step.state).toEqual([]);
    expect(step.inputs.statisticsMomentum).toBeUndefined();
    expect(maxDifference(evaluate(step.model, { x: images }).get("y")!.data, predict(STORED))).toBeLessThan(1e-12);
  });

  test("asks for two values in a channel", () => {
    const model = network(1);
    const inputs = [{ name: "x", dtype: "float32" as const, dims: [1, C, 1, 1] }];
    const outputs = [{ name: "y", dtype: "float32" as const, dims: [1, C] }];
    const single = inferShapes({ ...model, graph: { ...model.graph, inputs, outputs } });
    expect(() => buildStep(single, { statistics: { sourceWeight: 0, variance: "unbiased" } })).toThrow(
      expect.toSatisfy((e) => isLimberError(e, "shape.mismatch") && /larger batch/.test(e.message)),
    );
  });
});

/** ONNX Runtime writes statistics over inputs of a training normalization: no two may get the same. */
describe("two normalizations that share their scale and bias", () => {
  const train = { loss: crossEntropy(), optimizer: sgd(), parameters: ["scale", "bias"] };
  const step = buildStep(inferShapes(network(2)), { statistics: { sourceWeight: 0, variance: "unbiased" }, train });
  const feeds = new Map<string, Tensor>([
    ...step.state.map(({ input, initial }) => [input, initial] as const),
    [step.inputs.data[0]!.name, images],
    [step.inputs.targets!.name, tensorOf("int64", [N], [0, 1, 0])],
    [step.inputs.learningRate!, tensorOf("float32", [], [0.1])],
    [step.inputs.statisticsMomentum!, tensorOf("float32", [], [0.1])],
  ]);

  test("give in ONNX Runtime what the reference gives, and leave the weights that they read alone", async () => {
    const before = [...feeds].map(([name, { data }]) => [name, Array.from(data as Float32Array, String)]);
    const expected = evaluate(step.model, feeds);
    const found = await runOrt(step.model, feeds);
    for (const [name, { data }] of expected)
      expect(maxDifference(toReference(found.get(name)!).data, data), name).toBeLessThan(1e-5);
    expect([...feeds].map(([name, { data }]) => [name, Array.from(data as Float32Array, String)])).toEqual(before);
  });

  test("have the gradient of their loss by differences", () => {
    const exact = new Map([...feeds].map(([name, t]) => [name, toReference(t)] as const));
    const computed = evaluate(step.model, exact);
    for (const name of ["scale", "bias"]) {
      const slot = step.state.find(({ initializer }) => initializer === name)!;
      const start = exact.get(name)!;
      for (let c = 0; c < C; c++) {
        const lossAt = (t: number): number => {
          const moved = { ...start, data: start.data.map((v, i) => (i === c ? v + t : v)) };
          return evaluate(step.model, new Map([...exact, [name, moved]])).get(step.outputs.loss!)!.data[0]!;
        };
        const numeric = (lossAt(1e-5) - lossAt(-1e-5)) / 2e-5;
        const rate = exact.get(step.inputs.learningRate!)!.data[0]!;
        const analytic = (start.data[c]! - computed.get(slot.output)!.data[c]!) / rate;
        expect(Math.abs(analytic - numeric)).toBeLessThan(1e-6);
      }
    }
  });
});

test("a mixture lets gradients through the batch statistics", () => {
  const train = { loss: softCrossEntropy, optimizer: sgd(), parameters: ["scale"] };
  const model = network(2);
  // Only the second normalization's input depends on the scale through the first: with fixed moments the gradient differs.
  const losses = [0, 0.5].map((sourceWeight) => {
    const step = buildStep(inferShapes(model), { statistics: { sourceWeight, variance: "biased" }, train });
    return new ReferenceTrainer(step).run(toReference(images), {
      ...{ targets: toReference(tensorOf("float32", [N, C], [1, 0, 0, 1, 1, 0])), learningRate: 0.1 },
    }).gradientNorm!;
  });
  expect(losses[0]).toBeGreaterThan(0);
  expect(Math.abs(losses[0]! - losses[1]!)).toBeGreaterThan(1e-6);
});

describe("statistics that move", () => {
  const batches = [images, draw([N, C, H, W], -1), draw([N, C, H, W], 3)];
  const train = { loss: softCrossEntropy, optimizer: sgd(), parameters: ["scale", "bias"] };
  const options = (statistics: StepOptions["statistics"]): StepOptions => ({ statistics, train });
  const targets = toReference(tensorOf("float32", [N, C], [0.2, 0.8, 0.5, 0.5, 1, 0]));
  const settings = { targets, learningRate: 0 };

  test("renormalize against averages of mean and deviation that begin at the first batch", () => {
    const trainer = trainerOf(network(1), options({ renormalize: 0.75 }));
    let average: { mean: readonly number[]; deviation: readonly number[] } | undefined;
    for (const batch of batches) {
      const moments = momentsOf(toNumbers(batch), "biased");
      const now = { mean: moments.mean, deviation: moments.variance.map((v) => Math.sqrt(v + EPSILON)) };
      average ??= now;
      const { mean, deviation } = average;
      const { prediction } = trainer.run(toReference(batch), settings);
      const variance = deviation.map((s) => s ** 2 - EPSILON);
      const x = toNumbers(batch);
      const expected = Array.from({ length: N * C }, (_, nc) => {
        const c = nc % C;
        const map = x.slice(nc * H * W, (nc + 1) * H * W);
        return Math.max(...map.map((v) => (SCALE[c]! * (v - mean[c]!)) / Math.sqrt(variance[c]! + EPSILON) + BIAS[c]!));
      });
      expect(maxDifference(prediction.data, expected)).toBeLessThan(1e-12);
      average = { mean: mixed(0.75, mean, now.mean), deviation: mixed(0.75, deviation, now.deviation) };
    }
  });

  test("renormalize with the gradient of the batch's own statistics in the first step", () => {
    const gradients = ([{ renormalize: 0.9 }, { sourceWeight: 0, variance: "biased" }] as const).map((statistics) => {
      const trainer = trainerOf(network(2), options(statistics));
      return trainer.run(toReference(images), settings).gradientNorm!;
    });
    expect(gradients[0]).toBeCloseTo(gradients[1]!, 12);
  });

  test("mix with what was tracked, normalize with the mixture, and track that, whatever the momentum of the step", () => {
    const trainer = trainerOf(network(1), options({ sourceWeight: 0.8, variance: "biased", source: "tracked" }));
    let { mean, variance } = STORED as { mean: readonly number[]; variance: readonly number[] };
    for (const batch of batches) {
      const now = momentsOf(toNumbers(batch), "biased");
      [mean, variance] = [mixed(0.8, mean, now.mean), mixed(0.8, variance, now.variance)];
      trainer.run(toReference(batch), settings);
      expect(maxDifference(trainer.weights().get("mean0")!.data, mean)).toBeLessThan(1e-12);
      expect(maxDifference(trainer.weights().get("variance0")!.data, variance)).toBeLessThan(1e-12);
    }
  });
});
