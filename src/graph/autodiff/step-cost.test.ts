import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { type Tensor, zeros } from "../../base/index.js";
import { attr, type Model, type Node } from "../ir/index.js";
import { costOf, inferShapes } from "../passes/index.js";
import { stepCost, stepMacs } from "./step-cost.js";

const GROUPS = [
  [
    [64, 64],
    [128, 128],
  ],
  [[256, 256, 256]],
  [
    [512, 512, 512],
    [512, 512, 512],
  ],
] as const;

/** VGG-16 at 224 pixels without its linear layers; behind each group a trained shift, a patch that multiplies nothing. */
function vgg16(): { model: Model; layers: string[]; patches: string[] } {
  const initializers: Record<string, Tensor> = {};
  const nodes: Node[] = [];
  const [layers, patches]: [string[], string[]] = [[], []];
  let [value, channels] = ["image", 3];
  const window = { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) };
  const next = (op: string, inputs: string[], attributes = {}): void => {
    nodes.push(node(op, [value, ...inputs], [`v${nodes.length}`], attributes));
    value = `v${nodes.length - 1}`;
  };
  for (const [g, stages] of GROUPS.entries()) {
    for (const stage of stages) {
      for (const width of stage) {
        const name = `conv${layers.length}`;
        initializers[name] = zeros("float32", [width, channels, 3, 3]);
        layers.push(name);
        next("Conv", [name], { pads: attr.ints([1, 1, 1, 1]) });
        channels = width;
      }
      next("MaxPool", [], window);
    }
    patches.push(`patch.${g}`);
    initializers[`patch.${g}`] = zeros("float32", [channels, 1, 1]);
    next("Add", [`patch.${g}`]);
  }
  const inputs = { image: ["N", 3, 224, 224] };
  return { model: modelOf({ inputs, outputs: [value], initializers, nodes }), layers, patches };
}

describe("stepCost of VGG-16 at 224 pixels", () => {
  const { model, layers, patches } = vgg16();
  const full = stepCost(model, { parameters: layers });
  const billions = (macs: number): number => Math.round(macs / 1e7) / 100;

  test("is 15.35 billion MACs forward, in groups of 4.71, 4.62 and 6.01", () => {
    expect(billions(full.forward)).toBe(15.35);
    const frozen = patches.map((name) => stepCost(model, { parameters: [name] }).frozen);
    expect(frozen.map((macs, g) => billions(macs - (frozen[g - 1] ?? 0)))).toEqual([4.71, 4.62, 6.01]);
  });

  test.each([
    [1, 0, 0.33],
    [2, 6.01, 0.46],
    [3, 10.64, 0.57],
  ])("%i patches, deep first: %f billion MACs of gradients, %f of full training", (k, gradients, share) => {
    const cost = stepCost(model, { parameters: patches.slice(3 - k) });
    expect(billions(cost.activationGradient)).toBe(gradients);
    expect(cost.weightGradient).toBe(0);
    expect(Math.round((100 * stepMacs(cost)) / stepMacs(full)) / 100).toBe(share);
  });

  test("a single patch costs as much as all where it is the shallowest", () => {
    expect(stepCost(model, { parameters: patches.slice(0, 1) })).toEqual(stepCost(model, { parameters: patches }));
  });

  test("full training is three times the forward pass, without the gradient of the image", () => {
    const stem = 224 * 224 * 64 * 27;
    expect(full).toMatchObject({ frozen: 0, weightGradient: full.forward, activationGradient: full.forward - stem });
    expect(stepCost(model, { parameters: layers, batch: 4 }).forward).toBe(4 * full.forward);
  });
});

describe("stepCost", () => {
  const initializers = {
    depthwise: zeros("float32", [8, 1, 3, 3]),
    down: zeros("float32", [2, 8, 1, 1]),
    up: zeros("float32", [8, 2, 1, 1]),
    low: zeros("float32", [4, 2]),
    high: zeros("float32", [2, 8]),
    bias: zeros("float32", [4]),
  };
  // a depthwise convolution, an adapter beside it, and a linear layer whose weight is itself a product
  const model = modelOf({
    inputs: { x: ["N", 8, 6, 6] },
    outputs: ["y"],
    initializers,
    nodes: [
      node("Conv", ["x", "depthwise"], ["d"], { group: attr.int(8) }),
      node("Conv", ["d", "down"], ["narrow"]),
      node("Conv", ["narrow", "up"], ["wide"]),
      node("Add", ["d", "wide"], ["sum"]),
      node("GlobalAveragePool", ["sum"], ["pooled"]),
      node("Flatten", ["pooled"], ["flat"]),
      node("MatMul", ["low", "high"], ["weight"]),
      node("Gemm", ["flat", "weight", "bias"], ["y"], { transB: attr.int(1) }),
    ],
  });
  const [depthwise, adapter, product, linear] = [8 * 16 * 9, 16 * 16, 4 * 8 * 2, 4 * 8];
  const forward = depthwise + 2 * adapter + product + linear;

  test("counts depthwise kernels by their own size", () => {
    expect(stepCost(model, { parameters: ["depthwise"] })).toEqual({
      forward,
      frozen: product,
      activationGradient: 2 * adapter + linear,
      weightGradient: depthwise,
      uncounted: 0,
    });
  });

  test("an adapter does not lead back into the layer in front of it", () => {
    expect(stepCost(model, { parameters: ["down", "up"] })).toMatchObject({
      frozen: depthwise + product,
      activationGradient: adapter + linear,
      weightGradient: 2 * adapter,
    });
  });

  test("what leads to a weight that is computed is a gradient of weights", () => {
    expect(stepCost(model, { parameters: ["low", "high"] })).toMatchObject({
      frozen: depthwise + 2 * adapter,
      activationGradient: 0,
      weightGradient: linear + 2 * product,
    });
  });

  test("a trained bias multiplies nothing, and rows count by their share", () => {
    expect(stepCost(model, { parameters: ["bias"] })).toMatchObject({ activationGradient: 0, weightGradient: 0 });
    const rows = new Map([["down", [1]]]);
    expect(stepCost(model, { parameters: ["down"], rows })).toMatchObject({ weightGradient: adapter / 2 });
  });

  test("nothing trained is inference; a parameter that is not there is refused", () => {
    const none = stepCost(model, { parameters: [] });
    expect(none).toEqual({ forward, frozen: forward, activationGradient: 0, weightGradient: 0, uncounted: 0 });
    expect(stepMacs(none)).toBe(costOf(inferShapes(model, { batch: 1 })).macs);
    expect(() => stepCost(model, { parameters: ["nobody"] })).toThrow(/parameter: .* got "nobody"/);
  });
});
