import { describe, expect, test } from "vitest";
import { Random } from "../../base/index.js";
import { type Example, fitLinear, predictLinear } from "./regression.js";
import { solveRidge, systemOf } from "./ridge.js";

describe("ridge regression", () => {
  const system = systemOf(
    [
      [1, 0],
      [1, 1],
      [0, 2],
    ],
    [1, 0, -3],
    2,
  );

  test("finds the minimum that its equations have", () => {
    // (X'X + 0.1 n I) w = X'y + 0.1 n (1, 0), by Cramer's rule
    const [a, b, d] = [2 + 0.3, 1, 5 + 0.3];
    const [u, v] = [1 + 0.3, -6];
    const expected = [(u * d - b * v) / (a * d - b * b), (a * v - b * u) / (a * d - b * b)];
    const found = solveRidge(system, 0.1, Float64Array.of(1, 0), false);
    expected.forEach((value, j) => expect(found[j]).toBeCloseTo(value, 6));
  });

  test("leaves out what could only lower, where weights have to rise", () => {
    const found = solveRidge(system, 0.1, Float64Array.of(1, 0), true);
    expect(found[1]).toBe(0);
    expect(found[0]).toBeCloseTo((1 + 0.3) / (2 + 0.3), 6);
  });
});

describe("a linear model of several kinds", () => {
  const random = new Random(1);
  const draw = (kind: string, drifts: number, each: number, slope: number): Example[] =>
    Array.from({ length: drifts * each }, (_, i) => {
      const features = [random.normal(), random.normal()];
      const target = slope * features[0]! - features[1]! + 5 + random.normal(0, 0.1);
      return { kind, drift: String(Math.floor(i / each)), features, target };
    });
  const many = draw("many", 8, 6, 2);
  const errorOf = (examples: readonly Example[], of: readonly Example[]): number => {
    const model = fitLinear(examples);
    return of.reduce(
      (sum, { kind, features, target }) => sum + (predictLinear(model, kind, features) - target) ** 2,
      0,
    );
  };

  test("says 0 of a kind without examples", () => {
    expect(predictLinear(fitLinear(many), "none", many[0]!.features)).toBe(0);
  });

  test("leans on the other kinds where one has few examples", () => {
    const few = draw("few", 2, 2, 2);
    const held = draw("few", 1, 50, 2);
    expect(errorOf([...many, ...few], held)).toBeLessThan(0.5 * errorOf(few, held));
  });

  test("leaves a kind its own way where it has enough of them", () => {
    const other = draw("other", 8, 6, -2);
    const model = fitLinear([...many, ...other]);
    const slope = (kind: string): number => predictLinear(model, kind, [1, 0]) - predictLinear(model, kind, [0, 0]);
    expect(slope("many")).toBeCloseTo(2, 1);
    expect(slope("other")).toBeCloseTo(-2, 1);
  });

  test("gives nothing for nothing through zero, and falls back to its prior without drifts that say more", () => {
    const through = fitLinear(many, { isThroughZero: true });
    expect(predictLinear(through, "many", [0, 0])).toBe(0);
    const constant = [0, 1, 2].map((i) => ({ kind: "a", drift: String(i), features: [1, 0], target: 3 }));
    const model = fitLinear(constant, { isThroughZero: true, prior: [3, 0.5] });
    expect(predictLinear(model, "a", [1, 0])).toBeCloseTo(3, 6);
  });

  test("holds features near those that it learnt from", () => {
    const model = fitLinear(many);
    const at = (x: number): number => predictLinear(model, "many", [x, 0]);
    expect(at(1e9)).toBe(at(1e6));
    expect(at(4) - at(3)).toBeCloseTo(2, 1);
  });
});
