import { describe, expect, it } from "vitest";
import { meanAboveZero } from "./normal.js";

describe("mean of what is above zero", () => {
  it("is that of a normal distribution, by integration", () => {
    for (const [mean, deviation] of [
      [0, 1],
      [0.3, 0.1],
      [-0.2, 0.1],
      [0.05, 0.4],
    ] as const) {
      let sum = 0;
      const steps = 20_000;
      for (let i = 0; i < steps; i++) {
        const z = -8 + (16 * (i + 0.5)) / steps;
        sum += Math.max(0, mean + z * deviation) * Math.exp((-z * z) / 2) * (16 / steps);
      }
      expect(meanAboveZero(mean, deviation)).toBeCloseTo(sum / Math.sqrt(2 * Math.PI), 6);
    }
  });

  it("is the positive part of what is known for sure", () => {
    expect([meanAboveZero(0.2, 0), meanAboveZero(-0.2, 0)]).toEqual([0.2, 0]);
  });
});
