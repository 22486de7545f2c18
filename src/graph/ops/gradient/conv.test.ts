import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { caseArbitrary, type CaseOf, opCases } from "../../../../test/helpers/op-cases/index.js";
import { runOrt } from "../../../../test/helpers/ort.js";
import { sizeOf, type Tensor, tensorOf, toNumbers } from "../../../base/index.js";
import { attr, AttributeReader, type Attributes, type Model } from "../../ir/index.js";
import type { Val } from "../emit.js";
import { convGeometry } from "../geometry.js";
import { evaluate } from "../../reference/index.js";
import { type ConvolutionPart, type Decision, decisionOf, describeDecision, writeDecision } from "./conv/decision.js";
import type { Layer } from "./conv/window.js";

/** One formulation as a model, and numbers for its inputs. */
function write(decision: Decision, name: string): { model: Model; output: string; feeds: Map<string, Tensor> } {
  const { X, W } = decision.layer;
  const kernel = waves(W.dims, 1);
  const model = writeDecision(decision, name, kernel);
  const values: Record<string, Tensor> = { X: waves(X.dims, 0), W: kernel };
  const feeds = new Map(
    model.graph.inputs.map(({ name, dims }) => [name, values[name] ?? waves(dims as readonly number[], 2)]),
  );
  return { model, output: model.graph.outputs[0]!.name, feeds };
}

const waves = (dims: readonly number[], phase: number): Tensor => {
  const values = Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(1 + 1.7 * i + phase));
  return tensorOf("float32", dims, values);
};

const evaluateAs = (decision: Decision, name: string): Float64Array => {
  const { model, output, feeds } = write(decision, name);
  return evaluate(model, feeds).get(output)!.data;
};

function layerOf(xDims: readonly number[], wDims: readonly number[], attributes: Attributes): Layer {
  const reader = new AttributeReader(attributes, { op: "Conv", name: "conv" });
  const val = (name: string, dims: readonly number[]): Val => ({ name, dtype: "float32", dims });
  const geometry = convGeometry(reader, xDims, wDims);
  return { geometry, group: reader.int("group", 1), X: val("X", xDims), W: val("W", wDims), isConstant: false };
}

const pointwise: CaseOf = (draw) => {
  const [channels, outputs, height, width] = [draw.int(1, 4), draw.int(1, 4), draw.int(1, 12), draw.int(1, 12)];
  return { inputs: [draw.floats([draw.int(1, 3), channels, height, width]), draw.floats([outputs, channels, 1, 1])] };
};

const depthwise: CaseOf = (draw) => {
  const [channels, kernel, pad] = [draw.int(2, 4), draw.int(1, 3), draw.int(0, 2)];
  const ints = (low: number, high: number): ReturnType<typeof attr.ints> =>
    attr.ints([draw.int(low, high), draw.int(low, high)]);
  return {
    inputs: [
      draw.floats([draw.int(1, 3), channels, draw.int(5, 9), draw.int(5, 9)]),
      draw.floats([channels, 1, kernel, 2]),
    ],
    attributes: {
      group: attr.int(channels),
      strides: ints(1, 3),
      dilations: ints(1, 2),
      pads: attr.ints([pad, 1, 0, pad]),
    },
  };
};

const layers = fc
  .oneof(
    { arbitrary: caseArbitrary(opCases.Conv), weight: 4 },
    { arbitrary: caseArbitrary(pointwise), weight: 1 },
    { arbitrary: caseArbitrary(depthwise), weight: 1 },
  )
  .map(({ inputs, attributes = {} }) => layerOf(inputs[0]!.dims, inputs[1]!.dims, attributes));

/** Shapes of real networks, channels fewer: what the choice by shape meets. */
const LAYERS: Record<string, Layer> = {
  "3×3": layerOf([2, 3, 17, 16], [4, 3, 3, 3], { pads: attr.ints([1, 1, 1, 1]) }),
  "3×3 stride 2": layerOf([2, 3, 32, 32], [4, 3, 3, 3], {
    pads: attr.ints([1, 1, 1, 1]),
    strides: attr.ints([2, 2]),
  }),
  "7×7 stride 2": layerOf([1, 3, 38, 39], [4, 3, 7, 7], {
    pads: attr.ints([3, 3, 3, 3]),
    strides: attr.ints([2, 2]),
  }),
  "1×1": layerOf([3, 5, 6, 6], [4, 5, 1, 1], {}),
  "1×1 stride 2": layerOf([2, 5, 8, 8], [4, 5, 1, 1], { strides: attr.ints([2, 2]) }),
  depthwise: layerOf([2, 4, 12, 12], [4, 1, 3, 3], { pads: attr.ints([1, 1, 1, 1]), group: attr.int(4) }),
  "depthwise stride 2": layerOf([2, 4, 12, 11], [4, 1, 3, 3], {
    pads: attr.ints([1, 1, 1, 1]),
    strides: attr.ints([2, 2]),
    group: attr.int(4),
  }),
  grouped: layerOf([2, 6, 9, 8], [4, 3, 3, 3], { pads: attr.ints([1, 1, 1, 1]), group: attr.int(2) }),
  "few pixels": layerOf([1, 6, 2, 2], [8, 6, 3, 3], { pads: attr.ints([1, 1, 1, 1]) }),
};

const REPORT = { seed: 7, endOnFailure: true, numRuns: 80 };

/** The formulation for every form, and all others, by what they write. */
const PARTS: Record<ConvolutionPart, { general: string; others: readonly string[] }> = {
  forward: { general: "convolution", others: ["folded", "smallMap"] },
  input: { general: "transposed", others: ["flipped", "product", "folded", "smallMap", "phases"] },
  weight: {
    general: "exchanged",
    others: [
      ...["depthwise", "rowProducts", "columns", "folded", "interleavedPerSample", "interleavedFolded"],
      ...["interleavedGradientPerSample", "interleavedGradientFolded", "smallMap"],
    ],
  },
};

describe.each(Object.entries(PARTS) as [ConvolutionPart, (typeof PARTS)["input"]][])(
  "the %s part of a convolution",
  (part, { general, others }) => {
    it.each(others)("written as %s equals the general formulation wherever it fits", (name) => {
      let checked = 0;
      fc.assert(
        fc.property(layers, (layer) => {
          const decision = decisionOf(part, layer);
          if (!decision.candidates.includes(name)) return;
          checked++;
          const expected = evaluateAs(decision, general);
          const found = evaluateAs(decision, name);
          expect(found.length).toBe(expected.length);
          found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 9));
        }),
        REPORT,
      );
      expect(checked).toBeGreaterThan(5);
    });

    it("is by default written in a formulation that fits", () => {
      fc.assert(
        fc.property(layers, fc.boolean(), (layer, isConstant) => {
          const { candidates, preferred } = decisionOf(part, { ...layer, isConstant });
          return candidates.includes(preferred);
        }),
        REPORT,
      );
    });

    it.each(Object.keys(LAYERS))(
      "computes the same in ONNX Runtime in every formulation that fits: %s",
      async (layer) => {
        const decision = decisionOf(part, LAYERS[layer]!);
        const expected = evaluateAs(decision, general);
        for (const name of decision.candidates) {
          const { model, output, feeds } = write(decision, name);
          const found = (await runOrt(model, feeds)).get(output)!;
          const error = toNumbers(found).reduce((max, x, i) => Math.max(max, Math.abs(x - expected[i]!)), 0);
          expect(error / Math.max(...expected.map(Math.abs)), name).toBeLessThan(1e-5);
        }
      },
    );
  },
);

it("a constant kernel is part of the model that is measured, and of the name of the decision", () => {
  const layer = { ...LAYERS["3×3 stride 2"]!, isConstant: true };
  const decision = decisionOf("input", layer);
  const { graph } = writeDecision(decision, "phases", waves(layer.W.dims, 0));
  expect(graph.inputs.map(({ name }) => name)).toEqual(["dY"]);
  expect([...graph.initializers.keys()]).toEqual(["W"]);
  expect(describeDecision(decision)).toBe("input float32 2x3x32x32 w4x3x3x3 s2x2 d1x1 p1x1x1x1 g1 constant");
});
