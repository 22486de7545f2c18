import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Random } from "../base/index.js";
import { chooseSamples, type SelectionOptions } from "./select.js";

const samples = fc.integer({ min: 1, max: 6 }).chain((classes) =>
  fc.record({
    classes: fc.constant(classes),
    rows: fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.nat(classes - 1)), { maxLength: 60 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
);

describe("chooseSamples", () => {
  test("keeps the most uncertain half, in order; of equals the first", () => {
    expect(chooseSamples([0.1, 0.9, 0.5, 0.5, 0.5, 0.2]).kept).toEqual([1, 2, 3]);
    expect(chooseSamples([0.1, 0.9, 0.5, 0.2, 0.3]).kept).toEqual([1, 2, 4]);
    expect(chooseSamples(new Float64Array(4)).kept).toEqual([0, 1]);
    expect(chooseSamples([]).kept).toEqual([]);
  });

  test("no class takes more than twice its fair part", () => {
    const labels = [0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 2, 3];
    const uncertainty = labels.map((label, i) => (label === 0 ? 1 : 0.5 - i / 100));
    const { kept, left } = chooseSamples(uncertainty, { labels, classes: 4 });
    expect(kept).toEqual([0, 1, 2, 6, 7, 8]);
    expect(left.capped).toBe(0);
    const alone = chooseSamples([0.5, 0.4, 0.3, 0.2], { labels: [0, 0, 0, 0], classes: 4, share: 1 });
    expect(alone).toMatchObject({ kept: [0, 1], left: { capped: 2 }, forced: 0 });
  });

  test("at least as many as asked for, beyond the cap where that takes it", () => {
    const labels = [0, 0, 0, 0];
    const forced = chooseSamples([0.1, 0.2, 0.3, 0.4], { labels, classes: 4, share: 0.5, least: 3 });
    expect(forced).toMatchObject({ kept: [1, 2, 3], forced: 2 });
    expect(chooseSamples([0.1, 0.2], { least: 64 }).kept).toEqual([0, 1]);
  });

  test("pseudo-labels: outliers go, what is too uncertain goes, the rest is ranked as ever", () => {
    const uncertainty = Array.from({ length: 100 }, (_, i) => i / 100);
    const pseudo = { labelSource: "pseudo" } as const;
    const { kept, left } = chooseSamples(uncertainty, { ...pseudo, share: 0.1 });
    expect(kept).toEqual([31, 32, 33, 34, 35, 36, 37, 38, 39, 40]);
    expect(left).toEqual({ outliers: 2, doubtful: 57, capped: 0, broken: 0 });
    const high = chooseSamples(uncertainty, { ...pseudo, share: 0.1, ceiling: 1 });
    expect([high.kept[0], high.kept.at(-1)]).toEqual([88, 97]);
    expect(chooseSamples(uncertainty, { share: 0.1 }).kept.at(-1)).toBe(99);
    expect(chooseSamples(uncertainty, { share: 0.1, labelSource: "teacher" }).kept.at(-1)).toBe(99);
  });

  test("pseudo-labels: where too few are believed, the least uncertain of the others come along, outliers never", () => {
    const uncertainty = Array.from({ length: 50 }, (_, i) => (i < 10 ? 0.3 : 0.5 + i / 100));
    const few = chooseSamples(uncertainty, { labelSource: "pseudo", least: 12 });
    expect(few.kept).toEqual([...Array(12).keys()]);
    expect(few).toMatchObject({ forced: 2, left: { outliers: 1, doubtful: 39 } });
    expect(chooseSamples(uncertainty, { labelSource: "pseudo", least: 50 }).kept).not.toContain(49);
  });

  test("an uncertainty that is no number is left out and counted", () => {
    const { kept, left } = chooseSamples([NaN, 0.2, Infinity, 0.1], { share: 1 });
    expect([kept, left.broken]).toEqual([[1, 3], 2]);
  });

  test("exactly as many as asked for, each class within its cap, none less uncertain than what was passed over", () => {
    fc.assert(
      fc.property(samples, ({ classes, rows, share }) => {
        const uncertainty = rows.map(([value]) => value / 20);
        const labels = rows.map(([, label]) => label);
        const wanted = Math.ceil(share * rows.length - 1e-9);
        const plain = chooseSamples(uncertainty, { share });
        expect(plain.kept).toHaveLength(wanted);
        const out = uncertainty.filter((_, i) => !plain.kept.includes(i));
        expect(Math.min(1, ...plain.kept.map((i) => uncertainty[i]!))).toBeGreaterThanOrEqual(Math.max(0, ...out));

        const { kept } = chooseSamples(uncertainty, { share, labels, classes });
        const cap = Math.max(1, Math.floor((2 * wanted) / classes));
        const counts = (of: readonly number[]) =>
          Array.from({ length: classes }, (_, k) => of.filter((label) => label === k).length);
        const kinds = counts(kept.map((i) => labels[i]!));
        expect(Math.max(...kinds)).toBeLessThanOrEqual(cap);
        const reachable = counts(labels).reduce((sum, count) => sum + Math.min(cap, count), 0);
        expect(kept).toHaveLength(Math.min(wanted, reachable));
      }),
      { numRuns: 50 },
    );
  });

  test("at random as many, other ones, the same for the same seed", () => {
    const uncertainty = Array.from({ length: 200 }, (_, i) => i / 200);
    const labels = uncertainty.map((_, i) => (i < 150 ? 0 : i % 4));
    const options: SelectionOptions = { labels, classes: 4, share: 0.4 };
    const draw = (seed: number) => chooseSamples(uncertainty, { ...options, random: new Random(seed) }).kept;
    expect(draw(1)).toHaveLength(chooseSamples(uncertainty, options).kept.length);
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const pseudo = chooseSamples(uncertainty, { labelSource: "pseudo", count: 100, random: new Random(1) });
    expect(pseudo.kept.some((i) => uncertainty[i]! > 0.9)).toBe(true);
  });

  test.each<[SelectionOptions, RegExp]>([
    [{ share: 1.5 }, /share: a number from 0 to 1, got 1.5/],
    [{ ceiling: NaN }, /ceiling/],
    [{ least: -1 }, /least: a whole number/],
    [{ labels: [1], classes: 2 }, /labels: one for each of 2 samples, got 1/],
    [{ labels: [1, 0] }, /classes: a whole number above 0/],
  ])("refuses %j", (options, message) => {
    expect(() => chooseSamples([0.1, 0.2], options)).toThrow(message);
  });
});
