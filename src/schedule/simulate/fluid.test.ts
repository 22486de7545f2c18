import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { shareFluidly } from "./fluid.js";

describe("fluid sharing", () => {
  test("gives in proportion, and what one leaves to the others", () => {
    expect(shareFluidly(12, [10, 10, 10], [1, 2, 3])).toEqual([2, 4, 6]);
    expect(shareFluidly(12, [1, 10, 10], [1, 1, 1])).toEqual([1, 5.5, 5.5]);
    expect(shareFluidly(12, [3, 4], [5, 1])).toEqual([3, 4]);
    expect(shareFluidly(0, [3, 4], [5, 1])).toEqual([0, 0]);
  });

  test("uses all time that is wanted, meets no more than the demand, and favours nobody beyond its weight", () => {
    const job = fc.record({
      demand: fc.double({ min: 0, max: 50, noNaN: true }),
      weight: fc.integer({ min: 1, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(job, { maxLength: 6 }), fc.double({ min: 0, max: 100, noNaN: true }), (jobs, capacity) => {
        const [demands, weights] = [jobs.map(({ demand }) => demand), jobs.map(({ weight }) => weight)];
        const given = shareFluidly(capacity, demands, weights);
        const wanted = demands.reduce((sum, demand) => sum + demand, 0);
        expect(given.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(Math.min(capacity, wanted), 6);
        const levels = given.map((ms, i) => ms / weights[i]!);
        const most = Math.max(0, ...levels);
        given.forEach((ms, i) => {
          expect(ms).toBeLessThanOrEqual(demands[i]!);
          if (ms < demands[i]! - 1e-9) expect(levels[i]).toBeCloseTo(most, 6);
        });
      }),
      { seed: 1, numRuns: 50 },
    );
  });
});
