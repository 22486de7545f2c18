import { describe, expect, test } from "vitest";
import { sizeOf } from "../../base/index.js";
import { buildStep, crossEntropy, sgd } from "../autodiff/index.js";
import { checkGraph, type Model } from "../ir/index.js";
import { readModel, writeModel } from "../onnx/index.js";
import { inferShapes, parametersOf, prepareModel } from "../passes/index.js";
import { buildNetwork, NETWORKS } from "./index.js";

const countOf = (model: Model): number => parametersOf(model).reduce((sum, { tensor }) => sum + sizeOf(tensor.dims), 0);

describe("parameters as published", () => {
  test.each([
    ["resnet20", 32, 10, 272_474],
    ["resnet56", 32, 10, 855_770],
    ["mobilenetv2", 224, 1000, 3_504_872],
    ["mobilenetv3", 224, 1000, 2_542_856],
    ["efficientnet_lite0", 224, 1000, 4_652_008],
    ["shufflenetv2", 224, 1000, 2_278_604],
    ["squeezenet", 224, 1000, 1_235_496],
    ["densenet", 32, 10, 176_122],
    // DeiT-Tiny has 5 717 416; class token and its position, 2 · 192 numbers, are not there.
    ["vit", 224, 1000, 5_717_416 - 384],
  ])("%s at %i pixels with %i classes has %i", (name, imageSize, classes, expected) => {
    expect(countOf(buildNetwork(name, { imageSize, classes }))).toBe(expected);
  });

  test("convnext at 224 pixels with 1000 classes has 3.7 million", () => {
    expect(countOf(buildNetwork("convnext", { imageSize: 224, classes: 1000 })) / 1e6).toBeCloseTo(3.7, 1);
  });
});

describe.each(Object.keys(NETWORKS))("%s, narrow", (name) => {
  const imageSize = 32;
  const build = (seed = 1): Model => buildNetwork(name, { imageSize, classes: 4, width: 0.25, seed });
  const model = build();

  test("is the same for the same seed and another for another", () => {
    const first = (other: Model): unknown => parametersOf(other)[0]!.tensor.data;
    expect(first(build())).toEqual(first(model));
    expect(first(build(2))).not.toEqual(first(model));
  });

  test("is a valid graph for any batch, in bytes too", () => {
    checkGraph(model.graph);
    const again = readModel(writeModel(model));
    const edges = ({ graph }: Model): unknown => graph.nodes.map(({ op, inputs, outputs }) => [op, inputs, outputs]);
    expect(edges(again)).toEqual(edges(model));
    for (const batch of [1, 3]) {
      const { graph } = inferShapes(prepareModel(again), { batch });
      expect(graph.outputs.map(({ dims }) => dims?.slice(0, 2))).toEqual([[batch, 4]]);
      expect(graph.nodes.flatMap(({ outputs }) => outputs).filter((value) => !graph.types.get(value)?.dims)).toEqual(
        [],
      );
    }
  });

  test("has a gradient for every parameter", () => {
    const parameters = parametersOf(model).map((parameter) => parameter.name);
    const floats = [...model.graph.initializers.keys()].filter((key) => !key.includes("running_"));
    expect(parameters.toSorted()).toEqual(floats.toSorted());
    const train = { loss: crossEntropy(), optimizer: sgd(), parameters };
    const statistics = { sourceWeight: 0, variance: "unbiased" } as const;
    const step = buildStep(inferShapes(prepareModel(model), { batch: 2 }), { statistics, train });
    checkGraph(step.model.graph);
    const trained = step.state.flatMap((slot) => (slot.role === "parameter" ? [slot.initializer] : []));
    expect(trained.toSorted()).toEqual(parameters.toSorted());
  });
});

describe("options", () => {
  test.each([
    ["unet", 12, 8],
    ["vit", 30, 4],
    ["convnext", 48, 32],
  ])("%s refuses a side of %i pixels: it has to be a multiple of %i", (name, imageSize, multiple) => {
    const message = new RegExp(`${name}: an image side that is a multiple of ${multiple}, got ${imageSize}`);
    expect(() => buildNetwork(name, { imageSize, classes: 2 })).toThrow(message);
  });

  test("an unknown name lists the known ones", () => {
    expect(() => buildNetwork("resnet19", { imageSize: 32, classes: 2 })).toThrow(
      /one of resnet8, .*unet, got "resnet19"/,
    );
  });

  test("vit grows by heads: widths of 2 and 4 are the published Small and Base", () => {
    const channels = (width: number): unknown =>
      buildNetwork("vit", { imageSize: 32, classes: 2, width }).graph.initializers.get("norm.weight")?.dims;
    expect([channels(1), channels(2)]).toEqual([[192], [384]]);
  });
});
