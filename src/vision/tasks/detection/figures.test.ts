import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Corners } from "../../data/truth.js";
import { type AreaName, IOU_THRESHOLDS, measureBoxes } from "./figures.js";

interface FixtureBox {
  readonly image: number;
  readonly label: number;
  readonly box: readonly [x: number, y: number, width: number, height: number];
  readonly crowd?: boolean;
  readonly score?: number;
}

interface FixtureCase {
  readonly images: number;
  readonly truth: readonly FixtureBox[];
  readonly found: readonly FixtureBox[];
  readonly precisions: Readonly<Record<AreaName, Readonly<Record<string, readonly number[]>>>>;
}

const fixture = new URL("../../../../test/fixtures/detection/coco.json", import.meta.url);
const cases = JSON.parse(readFileSync(fixture, "utf8")) as Record<string, FixtureCase>;

const boxOf = ({ label, box: [x, y, width, height], crowd = false, score = 0 }: FixtureBox) => ({
  ...{ label, crowd, score },
  corners: [x, y, x + width, y + height] as const,
});

describe.each(Object.entries(cases))("%s", (_, { images, truth, found, precisions }) => {
  const of = (boxes: readonly FixtureBox[], image: number) => boxes.filter((box) => box.image === image).map(boxOf);
  const compared = Array.from({ length: images }, (_, i) => ({ found: of(found, i + 1), truth: of(truth, i + 1) }));

  test.each(["all", "small", "medium", "large"] as const)(
    "the average precision for objects of %s sizes is that of pycocotools",
    (area) => {
      const { byClass } = measureBoxes(compared, area);
      const expected = precisions[area];
      expect(byClass.map(({ label }) => String(label))).toEqual(Object.keys(expected));
      for (const each of byClass) {
        const difference = expected[String(each.label)]!.map((value, t) => Math.abs(value - each.precisions[t]!));
        expect(Math.max(...difference)).toBeLessThan(1e-6);
      }
    },
  );
});

describe("by hand", () => {
  const box = (corners: Corners, score = 0, label = 0) => ({ label, corners, score });
  const precisionOf = (...args: Parameters<typeof measureBoxes>): readonly number[] | undefined =>
    measureBoxes(...args).byClass[0]?.precisions;

  test("boxes like the objects are right at every threshold", () => {
    const truth = [box([0, 0, 10, 10]), box([20, 20, 40, 30])];
    expect(precisionOf([{ truth, found: truth }])).toEqual(IOU_THRESHOLDS.map(() => 1));
  });

  test("an overlap of 0.6 is right up to 0.6", () => {
    const found = [box([0, 0, 10, 6], 0.5)];
    expect(precisionOf([{ truth: [box([0, 0, 10, 10])], found }])).toEqual([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("a second box on the same object is wrong: at half of the recall 1, beyond it 2/3", () => {
    const truth = [box([0, 0, 10, 10]), box([20, 20, 40, 30])];
    const found = [box([0, 0, 10, 10], 0.9), box([0, 0, 10, 10], 0.8), box([20, 20, 40, 30], 0.7)];
    expect(precisionOf([{ truth, found }])![0]).toBeCloseTo((51 + (50 * 2) / 3) / 101, 12);
  });

  test("without objects there is no figure, whatever was found", () => {
    expect(measureBoxes([{ truth: [], found: [box([0, 0, 10, 10], 1)] }]).byClass).toEqual([]);
  });
});
