import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { Random } from "../../base/index.js";
import { lessonsOf } from "./lessons.js";
import type { Domain } from "./types.js";

const domain = (name: string, samples: number): Domain => ({
  name,
  samples,
  label: (index) => index,
  read: () => Promise.resolve({ unreadable: "nothing to see" }),
  pathOf: (index) => `${name}[${index}]`,
});

describe("lessons", () => {
  it("of one domain are its samples, shuffled", () => {
    const { domain: data, order } = lessonsOf(domain("day", 9));
    expect(data.name).toBe("day");
    expect(order(new Random(1), 4)).toEqual(new Random(1).shuffled([...Array(9).keys()]));
  });

  it("of several show one in each full batch, every sample at most once in a pass", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 2, maxLength: 4 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer(),
        (sizes, batchSize, seed) => {
          const parts = sizes.map((samples, i) => domain(`part ${i}`, samples));
          const lessons = lessonsOf(parts);
          const order = lessons.order(new Random(seed), batchSize);
          expect(order.length).toBe(
            sizes.reduce((sum, samples) => sum + Math.floor(samples / batchSize) * batchSize, 0),
          );
          expect(new Set(order).size).toBe(order.length);
          const owners = order.map((index) => lessons.domain.pathOf(index).split("[")[0]);
          for (let at = 0; at < order.length; at += batchSize)
            expect(new Set(owners.slice(at, at + batchSize)).size).toBe(1);
        },
      ),
      { seed: 7, numRuns: 50 },
    );
  });

  it("come in another order with another seed, in the same with the same", () => {
    const { order } = lessonsOf([domain("day", 20), domain("night", 20)]);
    expect(order(new Random(1), 4)).toEqual(order(new Random(1), 4));
    expect(order(new Random(1), 4)).not.toEqual(order(new Random(2), 4));
  });
});
