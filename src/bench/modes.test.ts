import { describe, expect, test } from "vitest";
import { buildNetwork, costOf, inferShapes, parseModel, prepareModel } from "../graph/index.js";
import { countStepMacs } from "./macs.js";
import { planOf } from "./modes.js";

const network = prepareModel(buildNetwork("resnet8", { imageSize: 32, classes: 10 }));
const shaped = inferShapes(network, { inputDims: { input: [2, 3, 32, 32] } });

describe("planOf", () => {
  test("full training: every parameter, and no norm keeps its statistics", () => {
    const { parameters, rows, fixedNorms } = planOf(network, "full");
    expect(parameters).toEqual([...network.graph.initializers.keys()].filter((name) => !name.includes("running_")));
    expect([rows.size, fixedNorms]).toEqual([0, []]);
  });

  test("filters: a fifth of the output channels of each weight, rounded up, and nothing else", () => {
    const { parameters, rows, fixedNorms } = planOf(network, "filters");
    expect(parameters).toEqual([...rows.keys()]);
    expect(parameters.every((name) => /(conv\d|stem\.0|shortcut\.0|classifier)\.weight$/.test(name))).toBe(true);
    const counts = [...rows].map(([name, { length }]) => [network.graph.initializers.get(name)!.dims[0], length]);
    expect(new Set(counts.map(String))).toEqual(new Set(["16,4", "32,7", "64,13", "10,2"]));
    expect(fixedNorms).toEqual([]);
  });

  test("last third: the last layers with their norms; norms in front of them keep their statistics", () => {
    const { parameters, fixedNorms } = planOf(network, "last-third");
    const convolutions = parameters.filter((name) => network.graph.initializers.get(name)!.dims.length === 4);
    expect(convolutions).toEqual(["stages.2.0.conv2.weight", "stages.2.0.shortcut.0.weight"]);
    expect(parameters).toContain("classifier.bias");
    expect(parameters.filter((name) => fixedNorms.some((norm) => name.startsWith(`${norm}.`)))).toEqual([]);
    expect(fixedNorms).toContain("stem.1");
    expect(fixedNorms).not.toContain("stages.2.0.norm2");
  });

  test("inference: nothing", () => {
    expect(planOf(network, "inference")).toMatchObject({ parameters: [], fixedNorms: [] });
  });
});

describe("countStepMacs", () => {
  const two = inferShapes(
    parseModel(`
      ir_version 8
      opset "" 17
      graph "two" {
        input %x: float32[2,3]
        const %a: float32[3,2] = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
        const %b: float32[2,1] = [1.0, 1.0]
        %h: float32[2,2] = MatMul(%x, %a) "first"
        %y: float32[2,1] = MatMul(%h, %b) "second"
        output %y: float32[2,1]
      }`),
  );
  const plan = { parameters: ["a", "b"], rows: new Map(), fixedNorms: [] };

  test("counts forward, weight gradients, and the gradients of values that depend on weights", () => {
    expect(countStepMacs(two, plan)).toBe(12 * 2 + 4 * 3);
  });

  test("counts weight gradients by the share of output channels", () => {
    const rows = new Map([["a", [0]]]);
    expect(countStepMacs(two, { ...plan, rows })).toBe(12 * 1.5 + 4 * 3);
  });

  test("counts no gradient before the first trained weight, and from the cache no forward pass either", () => {
    const last = { ...plan, parameters: ["b"] };
    expect(countStepMacs(two, last)).toBe(12 + 4 * 2);
    expect(countStepMacs(two, last, true)).toBe(4 * 2);
  });

  test("is the cost of the model for inference, and nearly three times that for full training", () => {
    const { macs } = costOf(shaped);
    expect(countStepMacs(shaped, planOf(network, "inference"))).toBe(macs);
    const stem = 2 * 32 * 32 * 16 * 27;
    expect(countStepMacs(shaped, planOf(network, "full"))).toBe(3 * macs - stem);
  });
});
