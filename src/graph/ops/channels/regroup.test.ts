import { describe, expect, it } from "vitest";
import { Labels } from "./labels.js";
import { regroup } from "./regroup.js";

/** Labels of some sizes regrouped, and the products that tie them: sizes of the whole and of its factors. */
function run(from: readonly number[], to: readonly number[]) {
  const labels = new Labels();
  const axes = from.map((size) => labels.fresh(size));
  const result = regroup(labels, axes, to, "mixed");
  const products = labels.products.map(({ whole, factors }) => [whole.length, factors.map(({ length }) => length)]);
  const stays = axes.map((axis) => labels.reasonOf(axis[0]!) ?? "free");
  return { axes, result, products, stays };
}

describe("regroup", () => {
  it("passes axes that both sides have", () => {
    const { axes, result, products } = run([2, 1, 5], [2, 5, 1, 1]);
    expect([result[0], result[1]]).toEqual([axes[0], axes[2]]);
    expect(products).toEqual([]);
  });

  it.each([
    [[8, 5], [2, 4, 5], [[8, [2, 4]]]],
    [[2, 4, 5], [8, 5], [[8, [2, 4]]]],
    [
      [6, 4],
      [2, 12],
      [
        [6, [2, 3]],
        [12, [3, 4]],
      ],
    ],
    [[4, 3, 3], [36], [[36, [4, 3, 3]]]],
    [[12], [3, 1, 4], [[12, [3, 4]]]],
  ])("ties %o and %o by their common factors", (from, to, expected) => {
    const { products, result, stays } = run(from, to);
    expect(products).toEqual(expected);
    expect(result.map(({ length }) => length)).toEqual(to);
    expect(new Set(stays)).toEqual(new Set(["free"]));
  });

  it("keeps whole what has no common factors, and passes the rest", () => {
    const { axes, result, stays } = run([7, 6, 4, 5], [7, 4, 6, 5]);
    expect(stays).toEqual(["free", "mixed", "mixed", "free"]);
    expect([result[0], result[3]]).toEqual([axes[0], axes[3]]);
  });

  it("keeps whole what stands beside an axis of unknown length", () => {
    const { axes, result, stays } = run([0, 3, 0, 4], [0, 3, 8]);
    expect(result.slice(0, 2)).toEqual([axes[0], axes[1]]);
    expect(stays[3]).toBe("mixed");
  });
});
