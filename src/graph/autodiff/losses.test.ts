import { describe, expect, test } from "vitest";
import { LossGraph as GraphOfLoss } from "../../../test/helpers/loss-graph.js";
import { Random, type Tensor, tensorOf } from "../../base/index.js";
import { type ReferenceTensor, toReference } from "../ops/index.js";
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

class LossGraph extends GraphOfLoss {
  constructor(loss: Loss, targets?: Tensor, output: Tensor | ReferenceTensor = logits) {
    super(loss, output, targets ?? TARGETS[loss.targets]);
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
    expect(new LossGraph(loss).gradientError()).toBeLessThan(1e-6);
  });

  test("stays finite, with its gradient, for outputs that no exponential holds", () => {
    const { loss: value, gradient } = new LossGraph(loss).at(
      tensorOf("float32", [N, K], [1000, -1000, 0, 0, -1e4, -1e4, -1e4, -1e4, 0, 800, 800, 0]),
    );
    expect(Number.isFinite(value)).toBe(true);
    expect(gradient.every(Number.isFinite)).toBe(true);
  });
});

describe("a class per pixel", () => {
  const [H, W] = [2, 3];
  const pixels = random.shuffled(Array.from({ length: N * H * W }, (_, i) => i));
  const draw = (length: number): number[] => Array.from({ length }, () => random.normal(0, 2));
  const drawn = Float32Array.from(draw(N * K * H * W));
  const map = tensorOf("float32", [N, K, H, W], [...drawn]);
  /** The same numbers with every pixel as a sample. Shapes: [N, K, H, W] → [N·H·W, K]. */
  const rowsOf = (data: ArrayLike<number>): number[] =>
    Array.from({ length: N * H * W }, (_, pixel) => {
      const [n, place] = [Math.floor(pixel / (H * W)), pixel % (H * W)];
      return Array.from({ length: K }, (_, k) => data[(n * K + k) * H * W + place]!);
    }).flat();
  const asRows = tensorOf("float32", [N * H * W, K], rowsOf(drawn));
  const classes = pixels.map((p) => p % K);

  test.each(LOSSES)("%s is the mean over pixels, with its gradient", (_, loss) => {
    const targetsFor = (
      dims: readonly number[],
      data: readonly number[],
    ): Record<Loss["targets"], Tensor | undefined> => ({
      none: undefined,
      labels: tensorOf("int64", dims.toSpliced(1, 1), classes),
      values: tensorOf("float32", dims, data),
    });
    const soft = drawn.map((v) => 1 / (1 + Math.exp(-v)));
    const asMap = new LossGraph(loss, targetsFor(map.dims, [...soft])[loss.targets], map).at(map);
    const asSamples = new LossGraph(loss, targetsFor(asRows.dims, rowsOf(soft))[loss.targets], asRows).at(asRows);
    expect(asMap.loss).toBeCloseTo(asSamples.loss, 12);
    const difference = rowsOf(asMap.gradient).map((g, i) => Math.abs(g - asSamples.gradient[i]!));
    expect(Math.max(...difference)).toBeLessThan(1e-12);
  });

  test.each([0, 0.1])(
    "places with the ignored label count neither in the loss nor in the mean (smoothing %d)",
    (smoothing) => {
      const ignored = (p: number): boolean => p % 3 === 0;
      const labels = tensorOf(
        "int64",
        [N, H, W],
        classes.map((k, p) => (ignored(p) ? 255 : k)),
      );
      const { loss, gradient } = new LossGraph(crossEntropy({ smoothing, ignoredLabel: 255 }), labels, map).at(map);
      const kept = classes.flatMap((_, p) => (ignored(p) ? [] : [p]));
      const rows = kept.flatMap((p) => [...rowsOf(drawn).slice(p * K, (p + 1) * K)]);
      const rest = tensorOf("float32", [kept.length, K], rows);
      const restLabels = tensorOf(
        "int64",
        [kept.length],
        kept.map((p) => classes[p]!),
      );
      const expected = new LossGraph(crossEntropy({ smoothing }), restLabels, rest).at(rest);
      expect(loss).toBeCloseTo(expected.loss, 12);
      const byPixel = rowsOf(gradient);
      const found = kept.flatMap((p) => byPixel.slice(p * K, (p + 1) * K));
      expect(Math.max(...found.map((g, i) => Math.abs(g - expected.gradient[i]!)))).toBeLessThan(1e-12);
      expect(byPixel.filter((g, i) => ignored(Math.floor(i / K)) && g !== 0)).toEqual([]);
    },
  );

  test("where no place counts the loss and its gradient are zero", () => {
    const nothing = tensorOf("int64", [N], [7, 7, 7]);
    const { loss, gradient } = new LossGraph(crossEntropy({ ignoredLabel: 7 }), nothing).at(logits);
    expect(Math.abs(loss)).toBe(0);
    expect(gradient.every((g) => g === 0)).toBe(true);
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
