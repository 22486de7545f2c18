import { describe, expect, test } from "vitest";
import { BACKBONES, type BackboneName, buildNetwork, buildTaskNetwork, type NetworkTask } from "../networks/index.js";
import type { Model } from "../ir/index.js";
import { type PatchPoint, splitBackbone, type SplitOptions } from "./index.js";

const network = (name: string, imageSize = 64): Model => buildNetwork(name, { imageSize, classes: 4, width: 0.25 });

const TASKS: readonly NetworkTask[] = ["classification", "detection", "segmentation"];
const taskNetwork = (backbone: BackboneName, task: NetworkTask): Model =>
  buildTaskNetwork({ backbone, task, imageSize: 48, classes: 4, width: 0.25 });

/** Strides and channels of what is found. */
const placesOf = (model: Model, options?: SplitOptions): unknown =>
  splitBackbone(model, options).map(({ stride, channels }) => [stride, channels]);

describe("groups at the resolutions of published networks", () => {
  test.each([
    [
      "resnet8",
      [
        [1, 8],
        [2, 8],
        [4, 16],
      ],
    ],
    [
      "resnet18",
      [
        [1, 16],
        [2, 32],
        [8, 128],
      ],
    ], // {1}{2}{4,8}
    [
      "vgg11",
      [
        [2, 32],
        [4, 64],
        [16, 128],
      ],
    ], // {1,2}{3}{4,5}, in front of the last pooling
    [
      "mobilenetv2",
      [
        [4, 8],
        [8, 8],
        [32, 80],
      ],
    ], // {2,4}{8}{16,32}, narrow values, in front of the layer that the head begins with
    [
      "efficientnet_lite0",
      [
        [4, 8],
        [8, 16],
        [32, 80],
      ],
    ],
    [
      "mobilenetv3",
      [
        [4, 8],
        [8, 8],
        [32, 24],
      ],
    ],
    [
      "shufflenetv2",
      [
        [4, 8],
        [8, 32],
        [32, 128],
      ],
    ],
    [
      "densenet",
      [
        [1, 12],
        [2, 15],
        [4, 33],
      ],
    ],
    [
      "convnext",
      [
        [4, 16],
        [8, 24],
        [32, 80],
      ],
    ],
    [
      "unet",
      [
        [1, 8],
        [2, 16],
        [8, 64],
      ],
    ], // down to the bottom
  ])("%s", (name, expected) => {
    expect(placesOf(network(name))).toEqual(expected);
  });

  test("a vision transformer has one resolution: thirds of its blocks, tokens on a grid", () => {
    const model = network("vit");
    const points = splitBackbone(model);
    const blocks = model.graph.nodes.filter(
      ({ op, inputs }) => op === "LayerNormalization" && inputs[1]!.includes("norm1"),
    );
    const before = ({ value }: PatchPoint): number => {
      const at = model.graph.nodes.findIndex(({ outputs }) => outputs[0] === value);
      return blocks.filter((node) => model.graph.nodes.indexOf(node) < at).length;
    };
    expect(points.map(before)).toEqual([4, 8, 12]);
    for (const point of points)
      expect(point).toMatchObject({ layout: "tokens", channels: 48, stride: 8, grid: [8, 8] });
    expect(points.at(-1)!.value).toBe("norm:out");
  });
});

describe.each(Object.keys(BACKBONES) as BackboneName[])("%s under three heads", (backbone) => {
  test("is split the same way, so that a patch of one task fits the others", () => {
    const [first, ...others] = TASKS.map((task) => splitBackbone(taskNetwork(backbone, task)));
    expect(first!.map(({ group }) => group)).toEqual([1, 2, 3]);
    for (const other of others) expect(other).toEqual(first);
  });
});

describe("options", () => {
  test("as many groups as asked for", () => {
    const strides = (groups: number): number[] =>
      splitBackbone(network("mobilenetv2"), { groups }).map(({ stride }) => stride);
    expect(strides(1)).toEqual([32]);
    expect(strides(2)).toEqual([4, 32]);
    expect(strides(4)).toEqual([2, 4, 8, 32]);
    expect(strides(5)).toEqual([2, 4, 8, 16, 32]);
    expect(strides(8)).toHaveLength(8); // by cost
  });

  test("values that the user names", () => {
    const at = ["Relu_2:out", "Relu_6:out"];
    const points = splitBackbone(network("resnet8"), { at });
    expect(points.map(({ group, value }) => [group, value])).toEqual([
      [1, at[0]],
      [2, at[1]],
    ]);
  });

  test("without what the metadata say, the end is found: for FPN heads the first layer of the head", () => {
    const model = taskNetwork("resnet", "segmentation");
    expect(splitBackbone({ ...model, metadata: new Map() }).at(-1)).toMatchObject({ stride: 4, channels: 32 });
    expect(splitBackbone(model).at(-1)).toMatchObject({ stride: 4, channels: 16 });
  });

  test.each([
    [{ at: ["nothing"] }, "config.invalid", 'tokens [N,T,C], got "nothing", which is not there'],
    [{ at: ["logits"] }, "config.invalid", 'tokens [N,T,C], got "logits", which is neither'],
    [{ groups: 0 }, "config.invalid", "groups: a whole number from 1 on, got 0"],
    [{ groups: 99 }, "method.unsuitable", /layers for 99 groups, got \d+; ask for fewer groups/],
  ])("%o is refused", (options, code, message) => {
    const run = (): unknown => splitBackbone(network("resnet8"), options);
    expect(run).toThrow(message);
    expect(run).toThrow(expect.objectContaining({ code }) as Error);
  });
});
