import { describe, expect, test } from "vitest";
import { LossGraph } from "../../../test/helpers/loss-graph.js";
import { Random, tensorOf } from "../../base/index.js";
import { toReference } from "../ops/index.js";
import { crossEntropy, diceLoss, weightedSum } from "./index.js";

const [N, K, H, W] = [2, 4, 3, 2];
const random = new Random(12);
const map = toReference(
  tensorOf(
    "float32",
    [N, K, H, W],
    Array.from({ length: N * K * H * W }, () => random.normal(0, 2)),
  ),
);
/** Of four classes the last is never shown. */
const classes = Array.from({ length: N * H * W }, (_, i) => (i % 5 === 0 ? 255 : i % 3));
const labels = tensorOf("int64", [N, H, W], classes);
const dice = diceLoss({ ignoredLabel: 255 });

describe("Dice", () => {
  test.each([
    ["alone", dice],
    [
      "beside cross-entropy",
      weightedSum([
        [1, crossEntropy({ ignoredLabel: 255 })],
        [0.5, dice],
      ]),
    ],
  ])("has the gradient that central differences give: %s", (_, loss) => {
    expect(new LossGraph(loss, map, labels).gradientError()).toBeLessThan(1e-6);
  });

  test("is the mean over the classes that the labels show, over all pixels of the batch that count", () => {
    const softmaxAt = (n: number, place: number): number[] => {
      const e = Array.from({ length: K }, (_, k) => Math.exp(map.data[(n * K + k) * H * W + place]!));
      return e.map((v) => v / e.reduce((a, b) => a + b, 0));
    };
    const coefficient = (k: number): number => {
      let [overlap, sizes] = [0, 0];
      classes.forEach((label, pixel) => {
        if (label === 255) return;
        const p = softmaxAt(Math.floor(pixel / (H * W)), pixel % (H * W))[k]!;
        overlap += label === k ? p : 0;
        sizes += p + Number(label === k);
      });
      return (2 * overlap) / sizes;
    };
    const expected = 1 - (coefficient(0) + coefficient(1) + coefficient(2)) / 3;
    expect(new LossGraph(dice, map, labels).at().loss).toBeCloseTo(expected, 12);
  });

  test("is 0 for a certain right answer, 1 for a certain wrong one, and nothing where no pixel counts", () => {
    const certain = (answer: number) =>
      tensorOf(
        "float32",
        [1, 2, 1, 2],
        [0, 1].flatMap((k) => (k === answer ? [500, 500] : [-500, -500])),
      );
    const of = (answer: number, ...truth: number[]) =>
      new LossGraph(dice, certain(answer), tensorOf("int64", [1, 1, 2], truth)).at();
    expect(of(1, 1, 1).loss).toBeCloseTo(0, 12);
    expect(of(0, 1, 1).loss).toBeCloseTo(1, 12);
    const { loss, gradient } = of(0, 255, 255);
    expect([loss, ...gradient].map(Math.abs)).toEqual([0, 0, 0, 0, 0]);
  });
});
