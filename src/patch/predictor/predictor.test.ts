import { afterAll, describe, expect, test } from "vitest";
import { costOf, inferShapes, parametersOf } from "../../graph/index.js";
import { createMachine } from "../../run/node.js";
import { blockDomain, createWorld, parsePreprocessing } from "../../vision/index.js";
import { confusionOf } from "./confusion.js";
import { countProbabilities, labelByMinimalCount, predictCount } from "./decide.js";
import { countPatches } from "./count.js";
import { measureCount } from "./measure.js";
import { buildCountNetwork, PREDICTOR_SHAPES } from "./network.js";
import { SNOW_LEVELS, snowDomain } from "./snow.js";
import { trainCount } from "./train.js";

const machine = createMachine();
afterAll(() => machine[Symbol.asyncDispose]());

/** Black pictures. */
const dark = (count: number, side: number) =>
  blockDomain({
    name: "dark",
    path: "memory",
    labels: new Array<number>(count).fill(7),
    block: { count, height: side, width: side, channels: 3, data: new Uint8Array(count * side * side * 3) },
  });

describe("snowDomain", () => {
  test("shows every picture at every level, labelled as published", () => {
    const domain = snowDomain(dark(2, 32));
    expect(domain.samples).toBe(20);
    const labels = SNOW_LEVELS.map((_, i) => domain.label(10 + i));
    expect(labels).toEqual([0, 0, 0, 0, 1, 1, 1, 2, 2, 2]);
    expect([domain.pathOf(13), domain.tags!(13)]).toEqual(["memory[1] (snow 4000)", ["level=4000"]]);
  });

  test("is the same at every reading, and other for another seed; other labels can be given", async () => {
    const pixels = async (seed: number) => {
      const reading = await snowDomain(dark(1, 32), { seed }).read(4);
      return "image" in reading && Array.from(reading.image.data);
    };
    expect(await pixels(1)).toEqual(await pixels(1));
    expect(await pixels(1)).not.toEqual(await pixels(2));
    expect(snowDomain(dark(1, 32), { levels: [50, 60], countOf: (level) => level / 10 - 4 }).label(1)).toBe(1);
  });
});

describe("the number of patches", () => {
  test.each<[string, number[][], number, boolean]>([
    [
      "the likeliest by the mean",
      [
        [0.9, 0.1, 0],
        [0.3, 0.7, 0],
        [0.6, 0.4, 0],
      ],
      1,
      false,
    ],
    ["within the margin the larger", [[0.5, 0.45, 0.05]], 2, true],
    [
      "at the margin the likelier",
      [
        [0.5, 0.375, 0.125],
        [0.5, 0.375, 0.125],
      ],
      1,
      false,
    ],
    ["a tie", [[0, 0.5, 0.5]], 3, false],
    ["nothing is known", [[1 / 3, 1 / 3, 1 / 3]], 3, false],
    [
      "images without a finite prediction have no say",
      [
        [NaN, 0, 0],
        [1, 0, 0],
      ],
      1,
      false,
    ],
  ])("%s", (_, rows, count, raised) => {
    expect(predictCount(rows)).toMatchObject({ count, raised });
  });

  test("without a margin only ties are raised; without a finite image it is refused", () => {
    expect(predictCount([[0.5, 0.45, 0.05]], { margin: 0 }).count).toBe(1);
    expect(predictCount([[0.5, 0.5]], { margin: 0 }).count).toBe(2);
    expect(() => predictCount([[NaN, 0]])).toThrow(/got none of 1/);
  });

  test.each([
    [0.75, [0.75, 0.05, 0.2], 1],
    [0.75, [0.74, 0.06, 0.2], 2],
    [0.75, [0.7, 0.04, 0.26], 3],
    [0.5, [0.4, 0.35, 0.25], 2],
    [1, [0.9, 0.1, 0], 2],
    [1, [1 / 3, 1 / 3, 1 / 3], 3],
  ])("with probability %d of %j being enough: %d", (quantile, row, count) => {
    expect(predictCount([row], { quantile })).toMatchObject({
      count,
      raised: row[count - 1]! < Math.max(...row),
    });
  });

  test("probabilities are softmax of the logits, whatever their size", () => {
    const data = Float32Array.of(1000, 1000, -1000, Math.log(1), Math.log(3), Math.log(4));
    const [first, second] = countProbabilities({ dtype: "float32", dims: [2, 3], data });
    expect(first).toEqual([0.5, 0.5, 0]);
    second!.forEach((value, k) => expect(value).toBeCloseTo([1, 3, 4][k]! / 8, 6));
  });

  test.each([
    [[0.8, 0.9, 0.905], 2],
    [[0.9, 0.905, 0.91], 1],
    [[0.895, 0.8, 0.9], 1],
    [[0.1, 0.2, 0.5], 3],
    [[NaN, 0.5, 0.5], 2],
    [[NaN, NaN, NaN], 3],
  ])("scores %j of 1, 2, 3 patches: %i are enough", (scores, count) => {
    expect(labelByMinimalCount(scores)).toBe(count);
  });
});

describe("confusionOf", () => {
  test("counts answers by truth, recall by rows and precision by columns", () => {
    const truth = [0, 0, 0, 1, 1, 2];
    const answers = [0, 0, 1, 1, 0, 1];
    expect(confusionOf(truth, answers, 4)).toEqual({
      matrix: [
        [2, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
      ],
      samples: 6,
      top1: 0.5,
      recall: [2 / 3, 1 / 2, 0, 0],
      precision: [2 / 3, 1 / 3, 0, 0],
    });
    expect(confusionOf([], [], 2).top1).toBe(0);
  });

  test.each([
    [
      [0, 2],
      [0, 0],
    ],
    [[0], [-1]],
    [[0, 1], [0]],
  ])("refuses truth %j with answers %j", (truth, answers) => {
    expect(() => confusionOf(truth, answers, 2)).toThrow(/confusion: a class from 0 to 1/);
  });
});

describe("networks that tell the number of patches", () => {
  test.each(PREDICTOR_SHAPES)("%s ends in one output for each number", (shape) => {
    const model = inferShapes(buildCountNetwork({ shape, imageSize: 64, groups: 4 }), { batch: 2 });
    expect(model.graph.outputs[0]!.dims).toEqual([2, 4]);
  });

  test("vgg16 has its thirteen convolutions, an eighth as wide", () => {
    const kernels = parametersOf(buildCountNetwork({ shape: "vgg16", imageSize: 32 })).filter(
      ({ tensor }) => tensor.dims.length === 4,
    );
    expect(kernels.map(({ tensor }) => tensor.dims[0])).toEqual([8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64]);
  });

  test("small takes less than a million MACs at 32 pixels", () => {
    expect(costOf(inferShapes(buildCountNetwork({ imageSize: 32 }), { batch: 1 })).macs).toBeLessThan(1e6);
  });

  test("trains its head first, then all, and tells light snow from heavy", async () => {
    const size = 32;
    const preprocessing = parsePreprocessing({ width: size, height: size, mean: 0.5, std: 0.25 });
    const world = createWorld({ size });
    const snow = (split: "train" | "test", count: number) =>
      snowDomain(world.dataset(split, count, [world.domains[0]!]).domains[0]!, {
        levels: [1000, 9000],
        countOf: (level) => (level < 5000 ? 1 : 2),
      });
    const network = buildCountNetwork({ imageSize: size, width: 0.5, groups: 2 });
    const { model, epochs } = await trainCount(network, snow("train", 48), {
      ...{ preprocessing, epochs: 4, frozenEpochs: 2, batchSize: 16, threads: 1, learningRate: 5e-3 },
    });
    expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
    expect(epochs.map(({ cacheHits }) => cacheHits > 0)).toEqual([false, true, false, false]);
    const { images, drifts } = await measureCount(model, snow("test", 12), { machine, preprocessing, threads: 1 });
    expect(images.samples).toBe(24);
    expect(images.top1).toBeGreaterThan(0.9);
    expect(drifts).toMatchObject([
      { drift: "level=1000", truth: 1, count: 1 },
      { drift: "level=9000", truth: 2, count: 2 },
    ]);
    const heavy = Array.from({ length: 8 }, (_, i) => 2 * i + 1);
    const told = await countPatches(model, snow("test", 12), { machine, preprocessing, threads: 1, indices: heavy });
    expect(told).toMatchObject({ count: 2, raised: false, broken: 0 });
    expect(told.macs).toBe(8 * costOf(inferShapes(network, { batch: 1 })).macs);
  });

  test.runIf(process.env.LIMBER_FULL)(
    "full: VGG-16's shape learns all ten levels, and tells each from a batch",
    async () => {
      const size = 64;
      const preprocessing = parsePreprocessing({ width: size, height: size, mean: 0.5, std: 0.25 });
      const world = createWorld({ size });
      const snow = (split: "train" | "test", count: number) =>
        snowDomain(world.dataset(split, count, [world.domains[0]!]).domains[0]!);
      const network = buildCountNetwork({ shape: "vgg16", imageSize: size });
      const { model } = await trainCount(network, snow("train", 100), {
        ...{ preprocessing, epochs: 12, batchSize: 32, threads: 1, learningRate: 2e-3 },
      });
      const { images, drifts } = await measureCount(model, snow("test", 50), { machine, preprocessing, threads: 1 });
      expect(images.top1).toBeGreaterThan(0.85);
      const missed = drifts.filter(({ truth, count }) => truth !== count);
      expect(missed.length).toBeLessThanOrEqual(1);
    },
    1_800_000,
  );
});
