import { describe, expect, test } from "vitest";
import { isLimberError, Random } from "../base/index.js";
import type { RunTensor } from "../run/node.js";
import { entropyOf, pickRepresentatives, type Representative, REPRESENTATIVES } from "./representative.js";

const rows = (...values: number[][]): RunTensor => ({
  dtype: "float32",
  dims: [values.length, values[0]!.length],
  data: Float32Array.from(values.flat()),
});
const prediction = rows([4, 0, 0], [1, 1, 0.9], [0, 3, 2.9], [0, 9, 0], [5, 4, 0]);
const scores = [rows([1, 0], [0, 0], [3, 1], [0, 1], [1, 1]), rows([0, 0], [1, 1], [0, 0], [9, 0], [1, 0])];
const pick = (by: Representative, seed = 1, from = prediction) =>
  pickRepresentatives(by, { prediction: from, scores, random: new Random(seed) });

describe("the representative image", () => {
  test("is the one with the highest entropy, the first, or the one whose gates add up to most", () => {
    expect(pick("entropy")).toEqual([1]);
    expect(pick("first")).toEqual([0]);
    expect(pick("gates")).toEqual([3]);
  });

  test("is one of the batch by chance, the same for the same seed", () => {
    const drawn = new Set(Array.from({ length: 20 }, (_, seed) => pick("random", seed)[0]));
    expect(drawn.size).toBeGreaterThan(2);
    expect(pick("random", 7)).toEqual(pick("random", 7));
  });

  test("is the hardest of each predicted class", () => {
    expect(pick("classes")).toEqual([1, 2]);
  });

  test("is never one whose prediction is not a number", () => {
    const broken = rows([NaN, 0, 0], [Infinity, 0, 0], [0, 0, 1]);
    for (const by of REPRESENTATIVES) expect(pick(by, 3, broken)).toEqual([2]);
    const nothing = (): unknown => pick("entropy", 1, rows([NaN, NaN]));
    expect(nothing).toThrow("without NaN");
    try {
      nothing();
    } catch (error) {
      expect(isLimberError(error, "data.invalid")).toBe(true);
    }
  });

  test("has the entropy of its softmax, for maps the mean over the places", () => {
    expect(entropyOf([0, 0, 0, 0], 4)).toBeCloseTo(Math.log(4), 12);
    expect(entropyOf([1000, 0], 2)).toBeCloseTo(0, 12);
    const one = entropyOf([0.3, 1.2], 2);
    const two = entropyOf([2, 0.1], 2);
    expect(entropyOf([0.3, 2, 1.2, 0.1], 2)).toBeCloseTo((one + two) / 2, 12);
  });
});
