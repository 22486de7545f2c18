import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import { orderModels } from "./order.js";

// 0 and 1 are twins, 2 is near 1, 3 near 2
const LINE = [
  [1, 0.9, 0.4, 0.1],
  [0.9, 1, 0.6, 0.2],
  [0.4, 0.6, 1, 0.5],
  [0.1, 0.2, 0.5, 1],
];

describe("orderModels", () => {
  test("begins in the middle, and follows the strongest likeness to any that is done", () => {
    expect(orderModels(LINE)).toEqual([
      { model: 1, similarity: 0 },
      { model: 0, parent: 1, similarity: 0.9 },
      { model: 2, parent: 1, similarity: 0.6 },
      { model: 3, parent: 2, similarity: 0.5 },
    ]);
  });

  test("of equals the cheapest goes first, then the first", () => {
    const equal = [0.3, 0.3, 0.3].map((_, i) => [0.3, 0.3, 0.3].map((value, j) => (i === j ? 1 : value)));
    expect(orderModels(equal).map(({ model }) => model)).toEqual([0, 1, 2]);
    expect(orderModels(equal, { costs: [3, 2, 1] }).map(({ model }) => model)).toEqual([2, 1, 0]);
    expect(orderModels(equal, { costs: [1, 1, 0] })[1]).toEqual({ model: 0, parent: 2, similarity: 0.3 });
  });

  test("one model and none", () => {
    expect(orderModels([[1]])).toEqual([{ model: 0, similarity: 0 }]);
    expect(orderModels([])).toEqual([]);
  });

  test("given and drawn orders take the most alike of those before as parent", () => {
    expect(orderModels(LINE, { order: "given", given: [3, 0, 1, 2] })).toEqual([
      { model: 3, similarity: 0 },
      { model: 0, parent: 3, similarity: 0.1 },
      { model: 1, parent: 0, similarity: 0.9 },
      { model: 2, parent: 1, similarity: 0.6 },
    ]);
    const draw = (seed: number) => orderModels(LINE, { order: "random", random: new Random(seed) }).map((t) => t.model);
    expect(draw(3)).toEqual(draw(3));
    expect(new Set(Array.from({ length: 40 }, (_, seed) => draw(seed)[0])).size).toBe(4);
  });

  test("refuses an order that is none, and a matrix that is not square", () => {
    expect(() => orderModels(LINE, { order: "given", given: [0, 1, 2, 2] })).toThrow(
      /each from 0 to 3 once, got 0,1,2,2/,
    );
    expect(() => orderModels([[1, 0]])).toThrow(/a row and a column for each of 1 models/);
  });

  test("no other tree over the models is as strong", () => {
    const size = 5;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 25, maxLength: 25 }), (values) => {
        const matrix = Array.from({ length: size }, (_, i) =>
          Array.from({ length: size }, (_, j) => (i === j ? 1 : values[Math.min(i, j) * size + Math.max(i, j)]! / 10)),
        );
        const turns = orderModels(matrix);
        expect(turns.map(({ model }) => model).sort()).toEqual([0, 1, 2, 3, 4]);
        const strength = turns.reduce((sum, { similarity }) => sum + similarity, 0);
        expect(strength).toBeCloseTo(strongestTree(matrix), 9);
      }),
      { numRuns: 30 },
    );
  });
});

/** By trying all trees: each model but the first chooses any parent, as long as all lead to the first. */
function strongestTree(matrix: readonly (readonly number[])[]): number {
  const size = matrix.length;
  let strongest = -Infinity;
  for (let code = 0; code < size ** (size - 1); code++) {
    const parents = [0, ...Array.from({ length: size - 1 }, (_, i) => Math.floor(code / size ** i) % size)];
    const leads = parents.every((_, start) => {
      let at = start;
      for (let step = 0; step < size; step++) at = at === 0 ? 0 : parents[at]!;
      return at === 0;
    });
    if (!leads) continue;
    strongest = Math.max(
      strongest,
      parents.reduce((sum, parent, i) => sum + (i === 0 ? 0 : matrix[i]![parent]!), 0),
    );
  }
  return strongest;
}
