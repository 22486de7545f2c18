import { describe, expect, test } from "vitest";
import { bytesOf } from "../../base/index.js";
import { checkGraph, type Model } from "../ir/index.js";
import { inferShapes, parametersOf, prepareModel } from "../passes/index.js";
import { BACKBONES, type BackboneName, buildTaskNetwork, type NetworkTask } from "./index.js";

const NAMES = Object.keys(BACKBONES) as BackboneName[];
const TASKS: readonly NetworkTask[] = ["classification", "detection", "segmentation"];

const build = (backbone: BackboneName, task: NetworkTask, imageSize = 48): Model =>
  buildTaskNetwork({ backbone, task, imageSize, classes: 5, width: 0.125, seed: 3 });

const outputOf = (model: Model): unknown => inferShapes(prepareModel(model), { batch: 2 }).graph.outputs[0]!.dims;

const backboneOf = ({ graph, metadata }: Model): string[] => {
  const end = graph.nodes.findIndex(({ outputs }) => outputs[0] === metadata.get("limber.backbone"));
  const read = new Set(graph.nodes.slice(0, end + 1).flatMap(({ inputs }) => inputs));
  return [...graph.initializers.keys()].filter((name) => read.has(name));
};

describe.each(NAMES)("%s", (backbone) => {
  const models = TASKS.map((task) => build(backbone, task));

  test("has one backbone under three heads: equal names, shapes and numbers for one seed", () => {
    const [names, ...others] = models.map(backboneOf);
    expect(names!.length).toBeGreaterThan(10);
    for (const other of others) expect(other).toEqual(names);
    const weightsOf = ({ graph }: Model): unknown =>
      names!.map((name) => [graph.initializers.get(name)!.dims, bytesOf(graph.initializers.get(name)!)].join(":"));
    expect(weightsOf(models[1]!)).toEqual(weightsOf(models[0]!));
    expect(weightsOf(models[2]!)).toEqual(weightsOf(models[0]!));
  });

  test("is a valid graph whose output is that of the task, at 48 and 96 pixels", () => {
    for (const model of models) checkGraph(model.graph);
    for (const side of [48, 96]) {
      const [fine, coarse] = side < 64 ? [4, 8] : [8, 16];
      const places = (side / fine) ** 2 + (side / coarse) ** 2;
      expect(TASKS.map((task) => outputOf(build(backbone, task, side)))).toEqual([
        [2, 5],
        [2, 9, places],
        [2, 5, side / 2, side / 2],
      ]);
    }
  });

  test("has a role for every number that trains, in each task", () => {
    for (const model of models) {
      const floats = [...model.graph.initializers.keys()].filter((key) => !key.includes("running_"));
      expect(
        parametersOf(model)
          .map(({ name }) => name)
          .toSorted(),
      ).toEqual(floats.toSorted());
    }
  });
});

describe("metadata", () => {
  test("say how the output is read", () => {
    const recordOf = (model: Model): unknown => JSON.parse(model.metadata.get("limber.task")!);
    const classes = ["0", "1", "2", "3", "4"];
    expect(recordOf(build("resnet", "segmentation"))).toEqual({ task: "segmentation", classes });
    const head = { kind: "centre", strides: [4, 8] };
    expect(recordOf(build("resnet", "detection"))).toEqual({ task: "detection", classes, head });
  });
});

describe("an SSD head", () => {
  const model = buildTaskNetwork({
    ...{ backbone: "resnet", task: "detection", imageSize: 64, classes: 5, head: "ssd", strides: [8, 16] },
  });

  test("has a background class, and its anchors at every place", () => {
    expect(outputOf(model)).toEqual([2, 4 + 6, (64 + 16) * 3]);
  });
});

describe("options", () => {
  test("a VGG of depth 16 has its thirteen convolutions, at an eighth of the channels as published", () => {
    const model = buildTaskNetwork({
      ...{ backbone: "vgg", task: "classification", imageSize: 32, classes: 2, depth: 16, width: 1 / 8 },
    });
    const kernels = parametersOf(model).filter(({ node, role }) => node.op === "Conv" && role === "weight");
    const channels = [8, 8, 16, 16, 32, 32, 32, 64, 64, 64, 64, 64, 64];
    expect(kernels.map(({ tensor }) => tensor.dims[0])).toEqual(channels);
  });

  test.each([
    [{ backbone: "vgg", depth: 13 }, "depth of a vgg: 11 or 16, got 13"],
    [{ backbone: "lenet" }, 'backbone: one of vgg, resnet, mobilenetv2, vit, got "lenet"'],
    [{ task: "detection", strides: [8, 12] }, "strides: ascending powers of two that divide 48, got 8, 12"],
    [
      { backbone: "vgg", task: "segmentation", imageSize: 40, width: 0.125 },
      "vgg: an image side that is a multiple of 16, got 40",
    ],
  ])("%o is refused", (given, message) => {
    const options = { backbone: "resnet", task: "classification", imageSize: 48, classes: 2, ...given };
    expect(() => buildTaskNetwork(options as Parameters<typeof buildTaskNetwork>[0])).toThrow(message);
  });
});
