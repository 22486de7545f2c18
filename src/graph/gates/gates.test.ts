import { describe, expect, it } from "vitest";
import { compareOutputs } from "../../../test/helpers/channels.js";
import { feedsOf, pictures, shaken, shakenMaster } from "../../../test/helpers/gated.js";
import { runOrt } from "../../../test/helpers/ort.js";
import { isLimberError, toNumbers } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import { buildNetwork } from "../networks/index.js";
import { readModel, writeModel } from "../onnx/index.js";
import { evaluate } from "../reference/index.js";
import {
  addGates,
  fixSparsity,
  findGateSites,
  gateParameters,
  gatesOf,
  keptCount,
  removeGates,
  SurrogateCutter,
} from "./index.js";

const sitesOf = (name: string) =>
  findGateSites(buildNetwork(name, { imageSize: 32, classes: 4, width: 0.25 })).sites.map(({ group, value }) => [
    group.replace(".weight:0", ""),
    value.replace(":out", ""),
  ]);

const NAMES = ["resnet8", "mobilenetv3", "vit", "unet"];

describe("findGateSites", () => {
  it("takes the inner convolution of each residual block, between normalization and ReLU, and nothing of the stream", () => {
    expect(sitesOf("resnet8")).toEqual([
      ["stages.0.0.conv1", "stages.0.0.norm1"],
      ["stages.1.0.conv1", "stages.1.0.norm1"],
      ["stages.2.0.conv1", "stages.2.0.norm1"],
    ]);
  });

  it("stands behind the normalization of a depthwise convolution, for it and the one before it", () => {
    const sites = sitesOf("mobilenetv2");
    expect(sites[1]).toEqual(["blocks.2.layers.0.0", "blocks.2.layers.1.1"]);
    expect(sites.map(([group]) => group)).not.toContain("blocks.1.layers.2");
  });

  it("takes every convolution of VGG and the hidden layer of each MLP of a ViT", () => {
    expect(sitesOf("vgg11").length).toBe(8);
    const { sites } = findGateSites(buildNetwork("vit", { imageSize: 32, classes: 4, width: 0.25 }));
    expect(sites.map(({ axis, sourceAxis }) => [axis, sourceAxis])).toEqual(Array(sites.length).fill([2, 2]));
    expect(sites.length).toBeGreaterThan(3);
    expect(sites.every(({ group }) => group.includes("mlp"))).toBe(true);
  });

  it("looks at the input of the layer that makes the channels", () => {
    const { sites } = findGateSites(buildNetwork("mobilenetv2", { imageSize: 32, classes: 4, width: 0.25 }));
    const { source } = sites.find(({ group }) => group.startsWith("blocks.3.layers.0.0"))!;
    expect(source).toMatch(/^(blocks.2|Add)/);
  });
});

describe("addGates", () => {
  it.each(NAMES)("leaves %s as it was while every gate is open", async (name) => {
    const model = shaken(name);
    const gated = addGates(model);
    expect(gatesOf(gated).gates.length).toBe(findGateSites(model).sites.length);
    const images = pictures(2);
    const outputs = [await runOrt(model, feedsOf(model, images)), await runOrt(gated, feedsOf(gated, images, [0]))];
    expect(compareOutputs(outputs[0]!, outputs[1]!)).toBe(0);
    for (const [key, value] of model.graph.initializers) expect(gated.graph.initializers.get(key)).toBe(value);
  });

  it("lets exactly the wanted number of channels of each image through, at the sparsity of that image", async () => {
    const gated = shakenMaster("resnet8");
    const { gates } = gatesOf(gated);
    const shown = gates.map(({ vector }) => ({ name: vector, dtype: "float32" as const, dims: undefined }));
    const probe: Model = { ...gated, graph: { ...gated.graph, outputs: [...gated.graph.outputs, ...shown] } };
    const shares = [0, 0.3, 0.5, 0.8];
    const feeds = feedsOf(gated, pictures(4), shares);
    const [inOrt, inDoubles] = [await runOrt(probe, feeds), evaluate(probe, feeds)];
    for (const { vector, size, scores } of gates) {
      expect(compareOutputs(new Map([[vector, inOrt.get(vector)!]]), inDoubles)).toBeLessThan(1e-5);
      const raw = evaluate(probe, feeds, { outputs: [scores] }).get(scores)!.data;
      const left = inDoubles.get(vector)!.data;
      shares.forEach((share, row) => {
        const [all, rest] = [raw, left].map((values) => Array.from(values.subarray(row * size, (row + 1) * size)));
        const open = all!.filter((value) => value > 0).length;
        expect(rest!.filter((value) => value > 0).length).toBe(Math.min(open, keptCount(size, share)));
        rest!.forEach((value, i) => expect([0, all![i]]).toContain(value));
      });
    }
  });

  it("runs at any sparsity from one file, or at a fixed one without an input for it", async () => {
    const gated = shakenMaster("resnet8");
    const read = readModel(writeModel(gated));
    expect(gatesOf(read)).toEqual(gatesOf(gated));
    const images = pictures(2);
    const runs = await Promise.all([0, 0.5].map((s) => runOrt(read, feedsOf(gated, images, [s]))));
    expect(compareOutputs(runs[0]!, runs[1]!)).toBeGreaterThan(0);
    const fixed = readModel(writeModel(fixSparsity(gated, 0.5)));
    expect(compareOutputs(runs[1]!, await runOrt(fixed, feedsOf(gated, images)))).toBe(0);
    expect(gatesOf(fixed)).toEqual(gatesOf(gated));
  });

  it("makes two layers of a gate on request, and counts what it adds", () => {
    const model = shaken("resnet8", 1);
    const [one, two] = [addGates(model), addGates(model, { reduction: 4, initial: "he" })];
    expect(gateParameters(one)).toBe(16 * 16 + 16 + (16 * 32 + 32) + (32 * 64 + 64));
    expect(gateParameters(two)).toBe(
      16 * 4 + 4 + 4 * 16 + 16 + (16 * 8 + 8 + 8 * 32 + 32) + (32 * 16 + 16 + 16 * 64 + 64),
    );
    const biases = gatesOf(two).gates.map(({ parameters }) => toNumbers(two.graph.initializers.get(parameters[3]!)!));
    expect(biases.flat().every((bias) => bias === 1)).toBe(true);
  });

  it("begins near the model on request, its biases in the order of the filters' L1 norms", () => {
    const model = shaken("resnet8");
    const [ranked, he] = [addGates(model, { initial: "ranked" }), addGates(model, { initial: "he" })];
    const scores = new SurrogateCutter(ranked).scoresBy(ranked, "l1");
    for (const { group, parameters } of gatesOf(ranked).gates) {
      const of = (gated: Model, i: number): number[] => toNumbers(gated.graph.initializers.get(parameters[i]!)!);
      const biases = of(ranked, 1);
      const order = (values: readonly number[]): number[] =>
        [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
      expect(order(biases)).toEqual(order(scores[group]!));
      expect(Math.max(...biases.map((bias) => Math.abs(bias - 1)))).toBeLessThan(0.05);
      const factors = of(ranked, 0).map((weight, i) => weight / of(he, 0)[i]!);
      expect(Math.max(...factors.map((factor) => Math.abs(factor - 0.02)))).toBeLessThan(1e-6);
    }
  });

  it("comes off again without a trace", () => {
    const model = shaken("resnet8");
    const removed = removeGates(addGates(model, { initial: "he" }));
    const { graph } = findGateSites(model).analysis.model;
    expect(removed.graph.nodes).toEqual(graph.nodes);
    expect(removed.graph.inputs).toEqual(graph.inputs);
    expect(new Map(removed.graph.initializers)).toEqual(new Map(graph.initializers));
    expect(removed.metadata).toEqual(model.metadata);
  });

  it("refuses a model without a place for one, and metadata that speak of another graph", () => {
    const { graph, ...header } = buildNetwork("resnet8", { imageSize: 32, classes: 4 });
    const head = graph.nodes.slice(-2);
    const flat = {
      ...graph,
      nodes: head,
      inputs: [{ name: head[0]!.inputs[0]!, dtype: "float32" as const, dims: ["n", 64] }],
    };
    const plain = { ...header, graph: flat };
    const codeOf = (work: () => unknown): string => {
      try {
        work();
      } catch (error) {
        return isLimberError(error) ? error.code : String(error);
      }
      return "none";
    };
    expect(codeOf(() => addGates(plain))).toBe("method.unsuitable");
    const gated = shakenMaster("resnet8");
    for (const text of ["{", "[]", '{"sparsity":"x","gates":[{}]}', gated.metadata.get("elastic.gates")!])
      expect(codeOf(() => gatesOf({ ...plain, metadata: new Map([["elastic.gates", text]]) }))).toBe("model.malformed");
  });
});
