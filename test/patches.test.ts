import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytesOf, Random, sizeOf } from "../src/base/index.js";
import {
  attachLiteResidual,
  attachPatches,
  type Attached,
  attachSideNet,
  type BackboneName,
  BACKBONES,
  buildTaskNetwork,
  meanSquaredError,
  type Model,
  type NetworkTask,
  parametersOf,
  patchParameters,
  type PatchPoint,
  prepareModel,
  sgd,
  splitBackbone,
  stepCost,
} from "../src/graph/index.js";
import {
  createMachine,
  type Machine,
  Predictor,
  readModelFile,
  type RunTensor,
  type StepReport,
  Trainer,
} from "../src/run/node.js";
import { relativeDistance } from "./helpers/parity.js";

let machine: Machine;
beforeAll(() => {
  machine = createMachine();
});
afterAll(() => machine[Symbol.asyncDispose]());

const NAMES = Object.keys(BACKBONES) as BackboneName[];
const TASKS: readonly NetworkTask[] = ["classification", "detection", "segmentation"];
const SIDE = 32;
const build = (backbone: BackboneName, task: NetworkTask): Model =>
  prepareModel(
    buildTaskNetwork({
      ...{ backbone, task, imageSize: SIDE, classes: 3, width: 0.125, seed: 2 },
      depth: backbone === "vit" ? 3 : undefined,
    }),
  );
const attach = (model: Model): Model => attachPatches(model, splitBackbone(model), { seed: 4 });

function noise(dims: readonly number[]): RunTensor {
  const random = new Random(7);
  return { dtype: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, () => random.normal()) };
}
const images = noise([4, 3, SIDE, SIDE]);

/** What ONNX Runtime gives for each op as written; or for the graph as it likes it, where fusions round otherwise. */
async function predict(
  model: Model,
  input = images,
  optimization: "disabled" | "all" = "disabled",
): Promise<RunTensor> {
  await using predictor = await Predictor.create(machine, model, { optimization });
  return (await predictor.predict(input)).output;
}

/** Whether two models predict the same to the bit, and as near as float32 comes where the runtime optimizes them. */
async function expectEqual(model: Model, source: Model, input = images): Promise<void> {
  const [a, b] = [await predict(model, input), await predict(source, input)];
  expect(Buffer.compare(bytesOf(a), bytesOf(b))).toBe(0);
  const optimized = await predict(model, input, "all");
  expect(relativeDistance(optimized.data as Float32Array, b.data as Float32Array)).toBeLessThan(1e-4);
}

/** A descent so short that the loss falls by what the gradient promises. */
const FALL = 0.002;

async function descend(model: Model, before: RunTensor, parameters: readonly string[]): Promise<Model> {
  const train = { loss: meanSquaredError, optimizer: sgd(), parameters };
  await using trainer = Trainer.create(model, { machine, statistics: "fixed", train });
  const targets = { ...before, data: (before.data as Float32Array).map((x, i) => x + (i % 2)) };
  const step = (learningRate: number): Promise<StepReport> => trainer.step({ images, targets }, { learningRate });
  const { loss, gradientNorm } = await step(0);
  expect((await step(FALL / gradientNorm! ** 2)).accepted).toBe(true);
  const fall = loss! - (await step(0)).loss!;
  expect(fall / FALL).toBeGreaterThan(0.8);
  expect(fall / FALL).toBeLessThan(1.2);
  return await trainer.exportModel();
}

describe.each(NAMES.flatMap((backbone) => TASKS.map((task) => [backbone, task] as const)))(
  "%s for %s",
  (backbone, task) => {
    test("predicts the same with patches in ONNX Runtime, to the bit, and their training lowers its loss", async () => {
      const source = build(backbone, task);
      const model = attach(source);
      await expectEqual(model, source);
      const before = await predict(source);
      const parameters = patchParameters(model);
      const after = await descend(model, before, parameters);
      const changed = [...after.graph.initializers.keys()].filter((name) => {
        const [a, b] = [after, model].map(({ graph }) => bytesOf(graph.initializers.get(name)!));
        return Buffer.compare(a!, b!) !== 0;
      });
      expect(changed.filter((name) => !parameters.includes(name))).toEqual([]);
      expect(changed).toEqual(expect.arrayContaining([1, 2, 3].map((group) => `patch.${group}.up.weight`)));
    });
  },
);

function lowRank(source: Model, points: readonly PatchPoint[], { seed }: { seed: number }): Attached {
  const model = attachPatches(source, points, { form: "low-rank", seed });
  return { model, parameters: patchParameters(model) };
}

describe("other branches", () => {
  const kinds = { "lite residual": attachLiteResidual, "side net": attachSideNet, "low-rank": lowRank };

  test.each(Object.entries(kinds))("%s predict the same at first and train", async (_, attachKind) => {
    for (const backbone of ["mobilenetv2", "vit"] as const) {
      const source = build(backbone, "classification");
      const { model, parameters } = attachKind(source, splitBackbone(source), { seed: 4 });
      await expectEqual(model, source);
      await descend(model, await predict(source), parameters);
    }
  });
});

describe("what a step takes", () => {
  test.each(NAMES)(
    "%s: fewer patches from the deep end go back less far; from the shallow end nothing is saved",
    (backbone) => {
      const model = attach(build(backbone, "classification"));
      const backOf = (groups: readonly number[]): number =>
        stepCost(model, { parameters: patchParameters(model, groups) }).activationGradient;
      const [one, two, three] = [[3], [2, 3], [1, 2, 3]].map(backOf) as [number, number, number];
      expect(one).toBeLessThan(0.1 * two);
      expect(two).toBeLessThan(three);
      // The deeper patches themselves are all that is left to save.
      expect(backOf([1]) / three).toBeGreaterThan(0.9);
    },
  );

  test("frozen layers in front of the deepest patch run once per image", async () => {
    const model = attach(build("resnet", "classification"));
    const train = { loss: meanSquaredError, optimizer: sgd(), parameters: patchParameters(model, [3]) };
    await using trainer = Trainer.create(model, { machine, statistics: "fixed", train });
    const batch = { images, targets: await predict(model), samples: [0, 1, 2, 3] };
    await trainer.step(batch, { learningRate: 0.01 });
    await trainer.step(batch, { learningRate: 0.01 });
    expect(trainer.cache.hits).toBe(4);
  });
});

describe.runIf(process.env.LIMBER_DATA)("real models (LIMBER_DATA)", () => {
  test.each([
    ["cifar10_resnet/resnet20_cifar10_convshortcut", [32, 32], [1, 2, 4]],
    ["cifar10_resnet/resnet56_cifar10_convshortcut", [32, 32], [1, 2, 4]],
    ["imagenet_mobilenets/mobilenet_v1_025_128_bn", [128, 128], [4, 8, 32]],
    ["imagenet_mobilenets/mobilenet_v1_025_128_folded", [128, 128], [4, 8, 32]],
    ["pacs_models/pacs_photo_mobilenetv1_050_160_bn", [160, 160], [4, 8, 32]],
    ["vww/mlperf_tiny_vww_mobilenetv1_025_96", [96, 96], [4, 8, 32]],
    ["seg_models/espnet_p2q8_camvid_480x360_bn", [96, 128], [2, 4, 8]],
    ["det_models/fastestdet_coco_352_bn", [352, 352], [4, 8, 32]],
  ] as const)("%s takes three patches, and computes the same", async (path, [height, width], strides) => {
    const source = await readModelFile(join(process.env.LIMBER_DATA!, `${path}.onnx`));
    const binding = { inputDims: { [source.graph.inputs[0]!.name]: [2, 3, height, width] } };
    const points = splitBackbone(source, { binding });
    expect(points.map(({ stride }) => Math.round(stride))).toEqual(strides);
    const model = attachPatches(source, points);
    await expectEqual(model, source, noise([2, 3, height, width]));
    const numbers = (names: readonly string[], { graph }: Model): number =>
      names.reduce((sum, name) => sum + sizeOf(graph.initializers.get(name)!.dims), 0);
    const share =
      numbers(patchParameters(model), model) /
      numbers(
        parametersOf(source).map(({ name }) => name),
        source,
      );
    expect(share).toBeLessThan(0.1);
  });
});
