import { describe, expect, test } from "vitest";
import { isEqual } from "./equal.js";

const plain = () => ({
  name: "a",
  sizes: [1, NaN, [2]],
  data: Float32Array.of(1, NaN),
  byName: new Map([["x", { value: 1n }]]),
  none: undefined,
});

describe("isEqual", () => {
  test("finds the same plain data in two places equal, with what is undefined left out", () => {
    const rest: Partial<ReturnType<typeof plain>> = plain();
    delete rest.none;
    expect(isEqual(plain(), plain())).toBe(true);
    expect(isEqual(plain(), rest)).toBe(true);
    expect(isEqual(rest, plain())).toBe(true);
  });

  test.each<[string, object]>([
    ["text", { name: "b" }],
    ["a list", { sizes: [1, NaN, [3]] }],
    ["the length of a list", { sizes: [1, NaN] }],
    ["an element", { data: Float32Array.of(1, 2) }],
    ["the type of elements", { data: Float64Array.of(1, NaN) }],
    ["a key of a map", { byName: new Map([["y", { value: 1n }]]) }],
    ["a value of a map", { byName: new Map([["x", { value: 2n }]]) }],
    ["a further property", { more: null }],
    ["the sign of zero", { name: -0 }],
  ])("tells apart what differs in %s", (_, change) => {
    expect(isEqual(plain(), { ...plain(), ...change })).toBe(false);
    expect(isEqual({ ...plain(), ...change }, plain())).toBe(false);
  });

  test("does not take nothing for an object", () => {
    expect(isEqual(null, {})).toBe(false);
    expect(isEqual({}, null)).toBe(false);
    expect(isEqual([], {})).toBe(false);
  });
});
