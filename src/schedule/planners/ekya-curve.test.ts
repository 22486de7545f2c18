import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fitEkyaCurve } from "./ekya-curve.js";

interface Case {
  readonly start: number;
  readonly seen: number;
  readonly scores: readonly number[];
}

describe("Ekya's curve", () => {
  it("is the one that scipy fits, within 1e-3 after 5, 15 and 30 epochs", () => {
    const file = new URL("../../../test/fixtures/ekya-curves.json", import.meta.url);
    const cases = JSON.parse(readFileSync(file, "utf8")) as readonly Case[];
    expect(cases.length).toBeGreaterThanOrEqual(50);
    for (const { start, seen, scores } of cases) {
      const curve = fitEkyaCurve(start, 5, seen);
      for (const [i, epochs] of [5, 15, 30].entries())
        expect(Math.abs(curve(epochs) - scores[i]!), `${start} to ${seen}, ${epochs} epochs`).toBeLessThan(1e-3);
    }
  });

  it("stays at the start where nothing can be fitted", () => {
    expect(fitEkyaCurve(0.5, 5, NaN)(30)).toBe(0.5);
  });
});
