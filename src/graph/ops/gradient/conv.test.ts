import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { caseArbitrary, type CaseOf, opCases } from "../../../../test/helpers/op-cases/index.js";
import { runOrt } from "../../../../test/helpers/ort.js";
import { sizeOf, type Tensor, tensorOf, toNumbers } from "../../../base/index.js";
import { attr, AttributeReader, type Attributes, type Graph, type Model } from "../../ir/index.js";
import { Emitter, type Val } from "../emit.js";
import { convGeometry } from "../geometry.js";
import { evaluate } from "../../reference/index.js";
import { chooseInputFormulation, inputFormulations } from "./conv/input.js";
import type { Formulation } from "./conv/formulation.js";
import { chooseWeightFormulation, weightFormulations } from "./conv/weight.js";
import type { Convolution } from "./conv/window.js";

interface Written {
  readonly model: Model;
  readonly output: string;
  readonly feeds: ReadonlyMap<string, Tensor>;
}

/** One formulation of a gradient as a model, and random tensors for it. */
function write(convolution: Convolution, formulation: Formulation): Written {
  const emit = new Emitter(17, ["X", "W", "dY"]);
  const result = formulation.write(emit, convolution);
  const inputs = [convolution.X, convolution.W, convolution.dY];
  const graph: Graph = {
    name: "gradient",
    inputs,
    outputs: [result],
    nodes: emit.nodes,
    initializers: new Map(),
    types: emit.types,
  };
  const opsets = new Map([
    ["", 17],
    ["com.microsoft", 1],
  ]);
  const model: Model = { graph, opsets, irVersion: 8, producerName: "", producerVersion: "", metadata: new Map() };
  const feeds = new Map(inputs.map(({ name, dims }, i) => [name, tensorOf("float32", dims, waves(sizeOf(dims), i))]));
  return { model, output: result.name, feeds };
}

const waves = (length: number, phase: number): number[] =>
  Array.from({ length }, (_, i) => Math.sin(1 + 1.7 * i + phase));

const evaluateWith = (convolution: Convolution, formulation: Formulation): Float64Array => {
  const { model, output, feeds } = write(convolution, formulation);
  return evaluate(model, feeds).get(output)!.data;
};

function convolutionOf(xDims: readonly number[], wDims: readonly number[], attributes: Attributes): Convolution {
  const reader = new AttributeReader(attributes, { op: "Conv", name: "conv" });
  const val = (name: string, dims: readonly number[]): Val => ({ name, dtype: "float32", dims });
  const geometry = convGeometry(reader, xDims, wDims);
  const dY = val("dY", [xDims[0]!, wDims[0]!, ...geometry.output]);
  return { geometry, group: reader.int("group", 1), X: val("X", xDims), W: val("W", wDims), dY };
}

const pointwise: CaseOf = (draw) => {
  const [channels, outputs, height, width] = [draw.int(1, 4), draw.int(1, 4), draw.int(1, 12), draw.int(1, 12)];
  return { inputs: [draw.floats([draw.int(1, 3), channels, height, width]), draw.floats([outputs, channels, 1, 1])] };
};

const convolutions = fc
  .oneof({ arbitrary: caseArbitrary(opCases.Conv), weight: 4 }, { arbitrary: caseArbitrary(pointwise), weight: 1 })
  .map(({ inputs, attributes = {} }) => convolutionOf(inputs[0]!.dims, inputs[1]!.dims, attributes));

/** Shapes of real networks, channels fewer: what the choice by shape meets. */
const LAYERS: Record<string, Convolution> = {
  "3×3": convolutionOf([2, 3, 17, 16], [4, 3, 3, 3], { pads: attr.ints([1, 1, 1, 1]) }),
  "3×3 stride 2": convolutionOf([2, 3, 32, 32], [4, 3, 3, 3], {
    pads: attr.ints([1, 1, 1, 1]),
    strides: attr.ints([2, 2]),
  }),
  "7×7 stride 2": convolutionOf([1, 3, 38, 39], [4, 3, 7, 7], {
    pads: attr.ints([3, 3, 3, 3]),
    strides: attr.ints([2, 2]),
  }),
  "1×1": convolutionOf([3, 5, 6, 6], [4, 5, 1, 1], {}),
  "1×1 stride 2": convolutionOf([2, 5, 8, 8], [4, 5, 1, 1], { strides: attr.ints([2, 2]) }),
  depthwise: convolutionOf([2, 4, 12, 12], [4, 1, 3, 3], { pads: attr.ints([1, 1, 1, 1]), group: attr.int(4) }),
  "few pixels": convolutionOf([1, 6, 2, 2], [8, 6, 3, 3], { pads: attr.ints([1, 1, 1, 1]) }),
};

const REPORT = { seed: 7, endOnFailure: true, numRuns: 150 };

interface Choice {
  readonly gradient: string;
  readonly formulations: Readonly<Record<string, Formulation>>;
  /** The formulation for every form. */
  readonly fallback: string;
  readonly choose: (convolution: Convolution) => string;
}
const CHOICES: readonly Choice[] = [
  { gradient: "input", formulations: inputFormulations, fallback: "transposed", choose: chooseInputFormulation },
  { gradient: "weight", formulations: weightFormulations, fallback: "exchanged", choose: chooseWeightFormulation },
];

describe.each(CHOICES)("gradient of a convolution by its $gradient", ({ formulations, fallback, choose }) => {
  const others = Object.keys(formulations).filter((name) => name !== fallback);

  it.each(others)("written as %s equals the general formulation wherever it fits", (name) => {
    const { fits } = formulations[name]!;
    let checked = 0;
    fc.assert(
      fc.property(convolutions, (convolution) => {
        if (!fits(convolution)) return;
        checked++;
        const expected = evaluateWith(convolution, formulations[fallback]!);
        const found = evaluateWith(convolution, formulations[name]!);
        expect(found.length).toBe(expected.length);
        found.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 9));
      }),
      REPORT,
    );
    expect(checked).toBeGreaterThan(5);
  });

  it("is written in a formulation that fits", () => {
    fc.assert(
      fc.property(convolutions, (convolution) => formulations[choose(convolution)]!.fits(convolution)),
      REPORT,
    );
  });

  it.each(Object.keys(LAYERS))(
    "computes the same in ONNX Runtime in every formulation that fits: %s",
    async (layer) => {
      const convolution = LAYERS[layer]!;
      const expected = evaluateWith(convolution, formulations[fallback]!);
      for (const formulation of Object.values(formulations).filter(({ fits }) => fits(convolution))) {
        const { model, output, feeds } = write(convolution, formulation);
        const found = (await runOrt(model, feeds)).get(output)!;
        const error = toNumbers(found).reduce((max, x, i) => Math.max(max, Math.abs(x - expected[i]!)), 0);
        expect(error / Math.max(...expected.map(Math.abs))).toBeLessThan(1e-5);
      }
    },
  );
});
