import { describe, expect, test } from "vitest";
import { Random, type Tensor, tensorOf } from "../../base/index.js";
import type { Graph } from "../ir/index.js";
import { Emitter, type ReferenceTensor, toReference } from "../ops/index.js";
import { evaluate } from "../reference/index.js";
import { backward } from "./backward.js";
import {
  crossEntropy,
  entropy,
  informationMaximisation,
  type Loss,
  meanSquaredError,
  softCrossEntropy,
} from "./losses.js";

const [N, K] = [3, 4];
const random = new Random(6);
const logits = toReference(
  tensorOf(
    "float32",
    [N, K],
    Array.from({ length: N * K }, () => random.normal(0, 2)),
  ),
);
const labels = tensorOf("int64", [N], [2, 0, 3]);
const values = tensorOf("float32", [N, K], [0.1, 0.2, 0.3, 0.4, 1, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]);
const TARGETS = { none: undefined, labels, values };

/** The loss alone, as a graph over its inputs, with its gradient by the output of the model. */
class LossGraph {
  private readonly graph: Graph;
  private readonly names: { readonly loss: string; readonly gradient: string };

  constructor(
    loss: Loss,
    private readonly targets: Tensor | undefined = TARGETS[loss.targets],
    output: Tensor | ReferenceTensor = logits,
  ) {
    const emit = new Emitter(17, ["output", "targets"]);
    const type = { dtype: "float32", dims: output.dims } as const;
    const value = loss.build({
      emit,
      output: emit.value("output", type),
      targets: targets && emit.value("targets", targets),
    });
    const inputs = [{ name: "output", ...type }, ...(targets ? [{ ...targets, name: "targets" }] : [])];
    const base: Graph = { name: "loss", inputs, outputs: [], nodes: [], initializers: new Map(), types: new Map() };
    expect(value.dims).toEqual([]);
    const gradient = backward(emit.appendTo(base), { loss: value.name, wrt: ["output"], emit }).get("output")!;
    this.graph = emit.appendTo(base, [value, gradient]);
    this.names = { loss: value.name, gradient: gradient.name };
  }

  at(output: Tensor | ReferenceTensor): { loss: number; gradient: Float64Array } {
    const feeds = new Map([["output", output] as const, ...(this.targets ? [["targets", this.targets] as const] : [])]);
    const found = evaluate(this.graph, feeds, { opset: 17 });
    return { loss: found.get(this.names.loss)!.data[0]!, gradient: found.get(this.names.gradient)!.data };
  }
}

const LOSSES: readonly (readonly [string, Loss])[] = [
  ["cross-entropy", crossEntropy()],
  ["smoothed cross-entropy", crossEntropy({ smoothing: 0.1 })],
  ["soft cross-entropy", softCrossEntropy],
  ["entropy", entropy],
  ["information maximisation", informationMaximisation()],
  ["mean squared error", meanSquaredError],
];

describe.each(LOSSES)("%s", (_, loss) => {
  test("has the gradient that central differences give", () => {
    const graph = new LossGraph(loss);
    const { gradient } = graph.at(logits);
    const scale = gradient.reduce((max, g) => Math.max(max, Math.abs(g)), 0);
    logits.data.forEach((_, i) => {
      const lossAt = (t: number): number =>
        graph.at({ ...logits, data: logits.data.map((v, j) => (i === j ? v + t : v)) }).loss;
      const numeric = (lossAt(1e-5) - lossAt(-1e-5)) / 2e-5;
      expect(Math.abs(gradient[i]! - numeric) / scale).toBeLessThan(1e-6);
    });
  });

  test("stays finite, with its gradient, for outputs that no exponential holds", () => {
    const { loss: value, gradient } = new LossGraph(loss).at(
      tensorOf("float32", [N, K], [1000, -1000, 0, 0, -1e4, -1e4, -1e4, -1e4, 0, 800, 800, 0]),
    );
    expect(Number.isFinite(value)).toBe(true);
    expect(gradient.every(Number.isFinite)).toBe(true);
  });
});

describe("losses by hand", () => {
  const at = (loss: Loss, dims: readonly number[], output: readonly number[], targets?: Tensor): number => {
    const tensor = tensorOf("float64", dims, output);
    return new LossGraph(loss, targets, tensor).at({ ...toReference(tensor), dtype: "float32" }).loss;
  };
  const two = (dtype: "int64" | "float32", ...list: number[]) =>
    tensorOf(dtype, dtype === "int64" ? [2] : [2, 2], list);
  /** Rows with the probabilities 3/4, 1/4 and 1/2, 1/2. */
  const rows = [Math.log(3), 0, 5, 5];
  const shannon = (...p: number[]): number => -p.reduce((sum, x) => sum + x * Math.log(x), 0);

  test.each([
    ["cross-entropy", crossEntropy(), two("int64", 0, 1), (Math.log(4 / 3) + Math.log(2)) / 2],
    // q = (0.9, 0.1): 0.2 / 2 goes to each class
    [
      "smoothed cross-entropy",
      crossEntropy({ smoothing: 0.2 }),
      two("int64", 0, 1),
      (0.9 * Math.log(4 / 3) + 0.1 * Math.log(4) + Math.log(2)) / 2,
    ],
    [
      "soft cross-entropy",
      softCrossEntropy,
      two("float32", 0.5, 0.5, 1, 0),
      (0.5 * Math.log(16 / 3) + Math.log(2)) / 2,
    ],
    ["entropy", entropy, undefined, (shannon(0.75, 0.25) + Math.log(2)) / 2],
    [
      "information maximisation",
      informationMaximisation({ epsilon: 0 }),
      undefined,
      (shannon(0.75, 0.25) + Math.log(2)) / 2 - shannon(0.625, 0.375),
    ],
    ["mean squared error", meanSquaredError, two("float32", 0, 0, 5, 3), (Math.log(3) ** 2 + 4) / 4],
  ])("%s", (_, loss, targets, expected) => {
    expect(at(loss, [2, 2], rows, targets)).toBeCloseTo(expected, 6);
  });

  test("the entropy is largest for equal outputs and 0 for a certain one", () => {
    expect(at(entropy, [1, 4], [2, 2, 2, 2])).toBeCloseTo(Math.log(4), 12);
    expect(at(entropy, [1, 4], [1000, 0, 0, 0])).toBeCloseTo(0, 12);
  });

  test("soft targets of one class are the hard ones", () => {
    const hard = at(crossEntropy(), [2, 2], [1, 2, 3, -1], two("int64", 1, 0));
    expect(at(softCrossEntropy, [2, 2], [1, 2, 3, -1], two("float32", 0, 1, 1, 0))).toBeCloseTo(hard, 12);
  });
});
