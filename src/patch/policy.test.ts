import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import { findNextGroup, groupsFor, orderGroups } from "./policy.js";

describe("orderGroups", () => {
  test("deep first begins next to the head, shallow first next to the image", () => {
    expect(orderGroups([1, 2, 3], { order: "deepFirst" })).toEqual([3, 2, 1]);
    expect(orderGroups([1, 2, 3], { order: "shallowFirst" })).toEqual([1, 2, 3]);
    const order = orderGroups([1, 2, 3], { order: "deepFirst" });
    expect([0, 1, 2, 3, 4].map((k) => groupsFor(order, k))).toEqual([[], [3], [2, 3], [1, 2, 3], [1, 2, 3]]);
  });

  test("any order can be given, and drawn", () => {
    expect(orderGroups([1, 2, 3], { order: "given", given: [2, 1, 3] })).toEqual([2, 1, 3]);
    const draw = (seed: number) => orderGroups([1, 2, 3], { order: "random", random: new Random(seed) });
    expect(draw(1)).toEqual(draw(1));
    expect(new Set(Array.from({ length: 50 }, (_, seed) => draw(seed).join())).size).toBe(6);
  });

  test.each([[undefined], [[1, 2]], [[1, 2, 2]], [[1, 2, 4]]])("refuses the order %s of three groups", (given) => {
    expect(() => orderGroups([1, 2, 3], { order: "given", given })).toThrow(/each of the groups 1,2,3 once/);
  });

  test("refuses to draw without random numbers", () => {
    expect(() => orderGroups([1, 2, 3], { order: "random" })).toThrow(
      expect.objectContaining({ code: "config.invalid" }),
    );
  });
});

describe("findNextGroup", () => {
  const order = [3, 2, 1];
  const rested = { reason: "plateau", best: 0.6, target: 0.8 };

  test("a patch is added where training rests below its target", () => {
    expect(findNextGroup(order, [3], rested)).toBe(2);
    expect(findNextGroup(order, [2, 3], rested)).toBe(1);
    expect(findNextGroup(order, [1, 3], rested)).toBe(2);
  });

  test("none at the target, none while it gets better, none where every group has one", () => {
    expect(findNextGroup(order, [3], { ...rested, best: 0.8 })).toBeUndefined();
    expect(findNextGroup(order, [3], { ...rested, reason: "epochs" })).toBeUndefined();
    expect(findNextGroup(order, [1, 2, 3], rested)).toBeUndefined();
  });
});
