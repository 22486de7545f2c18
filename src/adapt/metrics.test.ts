import { describe, expect, test } from "vitest";
import { accuracyOf, addTallies, argmaxRows, EMPTY_TALLY, tallyBatch } from "./metrics.js";

const rows = (...values: number[][]) =>
  ({
    dtype: "float32",
    dims: [values.length, values[0]?.length ?? 3],
    data: Float32Array.from(values.flat()),
  }) as const;

describe("argmaxRows", () => {
  test.each([
    ["the largest", [1, 3, 2], 1],
    ["the first of equals", [2, 5, 5], 1],
    ["the first when all are equal", [0, 0, 0], 0],
    ["the largest of negatives", [-3, -1, -2], 1],
    ["infinity", [1, 2, Infinity], 2],
    ["no class beside a NaN at the end", [1, 3, NaN], -1],
    ["no class beside a NaN at the start", [NaN, 3, 1], -1],
    ["the first where all are minus infinity", [-Infinity, -Infinity, -Infinity], 0],
  ])("gives %s", (_, values, expected) => {
    expect([...argmaxRows(rows([9, 0, 0], values))]).toEqual([0, expected]);
  });

  test("gives nothing for no rows", () => {
    expect([...argmaxRows({ dtype: "float32", dims: [0, 3], data: new Float32Array() })]).toEqual([]);
  });
});

describe("tallies", () => {
  test("count matches; a row with a NaN is wrong whatever its label", () => {
    const output = rows([1, 0, 0], [0, 1, 0], [NaN, 0, 1], [0, 0, 1]);
    expect(tallyBatch(output, Int32Array.of(0, 2, 2, 2), 3)).toEqual({ total: 4, correct: 2, skipped: 3 });
    expect(tallyBatch(rows([NaN, 0, 0]), Int32Array.of(-1), 0).total).toBe(1);
  });

  test("add up, and the accuracy of nothing is 0", () => {
    const tally = { total: 4, correct: 3, skipped: 1 };
    expect(addTallies(tally, EMPTY_TALLY)).toEqual(tally);
    expect(addTallies(tally, tally)).toEqual({ total: 8, correct: 6, skipped: 2 });
    expect([accuracyOf(tally), accuracyOf(EMPTY_TALLY)]).toEqual([0.75, 0]);
  });
});
