import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { maxDifference, ReferenceTrainer } from "../../../test/helpers/parity.js";
import { isLimberError, Random, sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import { attr, type Model, type Node, type ValueInfo } from "../ir/index.js";
import { buildNetwork } from "../networks/index.js";
import type { ReferenceTensor } from "../ops/index.js";
import { costOf, inferShapes, parametersOf, prepareModel } from "../passes/index.js";
import {
  buildStep,
  crossEntropy,
  largestRows,
  leadingRows,
  meanSquaredError,
  outputAxisOf,
  putRows,
  sgd,
  type Statistics,
  type TrainOptions,
} from "./index.js";
import { formatRows, otherRows, takeRows } from "./rows.js";

const random = new Random(4);
const draw = (dims: readonly number[]): Tensor =>
  tensorOf(
    "float32",
    dims,
    Array.from({ length: sizeOf(dims) }, () => random.normal()),
  );

/** A model of one layer between the input and the output; `w` is the parameter, its rows the output channels. */
interface Layer {
  readonly input: readonly number[];
  readonly weights: Readonly<Record<string, Tensor>>;
  readonly nodes: readonly Node[];
}

const layer = (op: string, input: number[], shapes: number[][], attributes: Node["attributes"] = {}): Layer => {
  const names = ["w", "b", "mean", "variance"].slice(0, shapes.length);
  const weights = Object.fromEntries(names.map((name, i) => [name, draw(shapes[i]!)]));
  if (weights.variance) (weights.variance.data as Float32Array).fill(0.7);
  return { input, weights, nodes: [node(op, ["h", ...names], ["y"], attributes)] };
};

const pads = attr.ints([1, 1, 1, 1]);
const LAYERS: Readonly<Record<string, Layer>> = {
  Conv: layer("Conv", [2, 3, 5, 5], [[6, 3, 3, 3], [6]], { pads }),
  "Conv with strides and dilations": layer("Conv", [2, 2, 9, 9], [[6, 2, 3, 3]], {
    strides: attr.ints([2, 2]),
    dilations: attr.ints([2, 1]),
  }),
  "grouped Conv": layer("Conv", [2, 6, 4, 4], [[6, 2, 3, 3], [6]], { pads, group: attr.int(3) }),
  "depthwise Conv": layer("Conv", [2, 6, 4, 4], [[6, 1, 3, 3]], { pads, group: attr.int(6) }),
  "depthwise Conv with a multiplier": layer("Conv", [2, 3, 4, 4], [[6, 1, 3, 3]], { pads, group: attr.int(3) }),
  ConvTranspose: layer("ConvTranspose", [2, 3, 4, 4], [[3, 6, 2, 2], [6]], { strides: attr.ints([2, 2]) }),
  "grouped ConvTranspose": layer("ConvTranspose", [2, 6, 3, 3], [[6, 2, 2, 2]], { group: attr.int(2) }),
  Gemm: layer("Gemm", [4, 5], [[5, 6], [6]]),
  "Gemm with transB": layer("Gemm", [4, 5], [[6, 5], [6]], { transB: attr.int(1), alpha: attr.float(0.5) }),
  MatMul: layer("MatMul", [2, 4, 5], [[5, 6]]),
  "MatMul from the left": {
    ...{ input: [2, 5, 4], weights: { w: draw([6, 5]) } },
    nodes: [node("MatMul", ["w", "h"], ["y"])],
  },
  "MatMul with a transposed weight": {
    ...{ input: [4, 5], weights: { w: draw([6, 5]) } },
    nodes: [node("Transpose", ["w"], ["t"]), node("MatMul", ["h", "t"], ["y"])],
  },
  "MatMul with a weight of another shape": {
    ...{ input: [4, 6], weights: { w: draw([6, 2, 3]), dims: tensorOf("int64", [2], [6, 6]) } },
    nodes: [node("Reshape", ["w", "dims"], ["r"]), node("Transpose", ["r"], ["t"]), node("MatMul", ["h", "t"], ["y"])],
  },
  "MatMul with a vector": layer("MatMul", [4, 6], [[6]]),
  "BatchNormalization with fixed statistics": layer("BatchNormalization", [3, 6, 2, 2], [[6], [6], [6], [6]]),
  LayerNormalization: layer("LayerNormalization", [4, 6], [[6], [6]], { axis: attr.int(-1) }),
  "a scale per channel": { input: [2, 6, 3], weights: { w: draw([1, 6, 1]) }, nodes: [node("Mul", ["h", "w"], ["y"])] },
  "one weight for two layers": {
    ...{ input: [4, 6], weights: { w: draw([6, 6]) } },
    nodes: [node("MatMul", ["h", "w"], ["m"]), node("MatMul", ["m", "w"], ["y"])],
  },
};

/** The layer behind a trained scale of its input, so that its input has a gradient too. */
function modelWith({ input, weights, nodes }: Layer): Model {
  const scaled = node("Mul", ["x", "s"], ["h"]);
  const initializers = { ...weights, s: draw(input.map((d, i) => (i === 1 ? d : 1))) };
  return inferShapes(modelOf({ inputs: { x: input }, outputs: ["y"], initializers, nodes: [scaled, ...nodes] }));
}

/** Parameters after one step in float64. */
function weightsAfter(model: Model, options: Partial<TrainOptions>, statistics: Statistics = "fixed") {
  const parameters = [...model.graph.initializers.keys()].filter((name) => ["w", "b", "s"].includes(name));
  const train = { loss: meanSquaredError, optimizer: sgd(), parameters, ...options };
  const step = buildStep(model, { statistics, train });
  const trainer = new ReferenceTrainer(step);
  const noise = (name: string, { dims }: Pick<ValueInfo, "dims">): ReferenceTensor => {
    const source = new Random(9).fork(name);
    return {
      dtype: "float32",
      dims: dims as number[],
      data: Float64Array.from({ length: sizeOf(dims as number[]) }, () => source.normal()),
    };
  };
  const [image, targets] = [step.inputs.data[0]!, step.inputs.targets!];
  trainer.run(noise("x", image), { targets: noise("y", targets), learningRate: 0.1 });
  return { step, weights: trainer.weights() };
}

const SELECTIONS = [[0, 1], [2, 3, 4], [0, 2, 3], [5, 1], [4]].map((indices) => [indices.join(), indices] as const);

describe.each(Object.entries(LAYERS))("rows of the weight of %s", (_, source) => {
  const model = modelWith(source);
  const axis = outputAxisOf(model.graph, "w");

  test("lie along its output channels", () => {
    expect(model.graph.initializers.get("w")!.dims[axis]).toBe(6);
  });

  test.each(SELECTIONS)("%s train to what they do among all", (_, indices) => {
    const whole = weightsAfter(model, {});
    const part = weightsAfter(model, {
      rows: new Map([
        ["w", indices],
        ["b", indices],
      ]),
    });
    const rows = { axis, indices: indices.toSorted((a, b) => a - b) };
    for (const [name, { dims, data }] of whole.weights) {
      const all = { dtype: "float64", dims, data } as const;
      const expected = name === "s" ? all : takeRows(all, name === "w" ? rows : { ...rows, axis: 0 });
      const found = part.weights.get(name)!;
      expect(found.dims, name).toEqual(expected.dims);
      expect(maxDifference(found.data, expected.data as Float64Array), name).toBeLessThan(1e-12);
    }
  });
});

describe("training of rows", () => {
  const statistics = { sourceWeight: 0, variance: "unbiased" } as const;

  test("of a normalization with statistics of the batch is what it is among all", () => {
    const model = modelWith(LAYERS["BatchNormalization with fixed statistics"]!);
    const [whole, part] = [{}, { rows: new Map([["w", [1, 4]]]) }].map((options) =>
      weightsAfter(model, options, statistics),
    );
    const all = whole!.weights.get("w")!.data;
    expect(maxDifference(part!.weights.get("w")!.data, [all[1]!, all[4]!])).toBeLessThan(1e-12);
    expect(maxDifference(part!.weights.get("s")!.data, whole!.weights.get("s")!.data)).toBeLessThan(1e-12);
  });

  test("carries only them, with their optimizer state, and the rest of a weight as a constant", () => {
    const model = modelWith(LAYERS.Conv!);
    const { step } = weightsAfter(model, { optimizer: sgd({ momentum: 0.9 }), rows: new Map([["w", [1, 3]]]) });
    const slots = step.state.filter(({ initializer, input }) => initializer === "w" || input.startsWith("w:"));
    expect(slots.map(({ role, initial, rows }) => [role, initial.dims, rows])).toEqual([
      ["parameter", [2, 3, 3, 3], { axis: 0, indices: [1, 3] }],
      ["optimizer", [2, 3, 3, 3], undefined],
    ]);
    const constants = [...step.model.graph.initializers.values()].filter(({ dtype }) => dtype === "float32");
    expect(constants.map(({ dims }) => dims)).toEqual([[4, 3, 3, 3]]);
  });

  test("of all rows is training of the parameter", () => {
    const model = modelWith(LAYERS.Conv!);
    const build = (options: Partial<TrainOptions>) => weightsAfter(model, options).step;
    expect(build({ rows: new Map([["w", [5, 4, 3, 2, 1, 0]]]) })).toEqual(build({}));
  });

  test.each([
    ["a row that is not there", [6], /from 0 to 5, got 6/],
    ["a row twice", [2, 2], /got 2 twice/],
    ["a part of a row", [0.5], /got 0.5/],
    ["no row", [], /got none/],
  ])("refuses %s", (_, indices, message) => {
    const build = () => weightsAfter(modelWith(LAYERS.Conv!), { rows: new Map([["w", indices]]) });
    expect(build).toThrow(message);
    expect(build).toThrow(expect.toSatisfy((e) => isLimberError(e, "config.invalid")));
  });
});

describe("training 20 % of the filters", () => {
  test.each([
    ["resnet20", 1.25], // 20, 40 and 80 channels: no layer is rounded up
    ["mobilenetv2", 1],
  ])("of %s takes 20 % of the multiplications of its weight gradients", (name, width) => {
    const model = inferShapes(prepareModel(buildNetwork(name, { imageSize: 32, classes: 10, width })), { batch: 2 });
    const parameters = parametersOf(model);
    const norms = parameters.filter(({ role }) => role === "norm-scale").map((p) => p.name);
    const rows = leadingRows(model, 0.2);
    const macs = (weights: Iterable<string>, some?: TrainOptions["rows"]): number => {
      const train = { loss: crossEntropy(), optimizer: sgd(), parameters: [...norms, ...weights], rows: some };
      return costOf(buildStep(model, { statistics: "fixed", train }).model).macs;
    };
    const withoutWeights = macs([]);
    const share = (macs(rows.keys(), rows) - withoutWeights) / (macs(rows.keys()) - withoutWeights);
    expect(share).toBeGreaterThanOrEqual(0.2);
    expect(share).toBeLessThan(0.22);
  });
});

describe("rows are chosen", () => {
  test.each([
    ["the first", leadingRows, [0, 1]],
    ["those of the largest magnitudes", largestRows, [2, 4]],
  ])("%s, on the axis of output channels, rounded up", (_, choose, expected) => {
    const w = tensorOf("float32", [2, 5], [...[1, 2, -9, 0, 3], ...[1, 1, 9, 0, -8]]);
    const nodes = [node("MatMul", ["x", "w"], ["y"])];
    const model = modelOf({ inputs: { x: [3, 2] }, outputs: ["y"], initializers: { w }, nodes });
    expect(choose(model, 0.3)).toEqual(new Map([["w", expected]]));
  });
});

describe("rows of a tensor", () => {
  test("are written as ranges", () => {
    expect(formatRows({ axis: 0, indices: [0, 1, 2, 5, 7, 8] })).toBe("0-2,5,7-8");
  });

  test("are put back where they were taken, and all else is kept", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.nat(),
        (dims, a, seed) => {
          const axis = a % dims.length;
          const picked = new Random(seed).shuffled(Array.from({ length: dims[axis]! }, (_, i) => i));
          const rows = { axis, indices: picked.slice(0, 1 + (seed % picked.length)).sort((x, y) => x - y) };
          const [source, other] = [draw(dims), draw(dims)];
          const mixed = putRows(source, rows, takeRows(other, rows));
          expect(takeRows(mixed, rows)).toEqual(takeRows(other, rows));
          const rest = otherRows(rows, source);
          if (rest.indices.length > 0) expect(takeRows(mixed, rest)).toEqual(takeRows(source, rest));
        },
      ),
      { numRuns: 50 },
    );
  });
});
