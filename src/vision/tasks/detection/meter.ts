import type { BatchTruth, Meter, Score } from "../task.js";
import type { Tensor } from "../../../base/index.js";
import type { FoundBox } from "./boxes.js";
import { boxesOf } from "./boxes-of.js";
import { type BoxFigures, type ComparedBoxes, IOU_THRESHOLDS, measureBoxes } from "./figures.js";

const AREAS = ["small", "medium", "large"] as const;

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
/** The mean over classes, and over thresholds or at one of them; undefined where there are no objects. */
const meanPrecision = ({ byClass }: BoxFigures, threshold?: number): number | undefined =>
  byClass.length === 0
    ? undefined
    : meanOf(byClass.map(({ precisions }) => (threshold === undefined ? meanOf(precisions) : precisions[threshold]!)));

/**
 * Measures boxes over all pictures at once: mAP@0.5, and beside it `mAP` over ten thresholds, `mAP75`, `mAPsmall`, `mAPmedium`, `mAPlarge` and
 * `AP50 class`; figures without objects are left out. Throws: `data.invalid` where boxes are not labelled.
 */
export function createBoxMeter(
  decode: (output: Tensor) => readonly (readonly FoundBox[])[],
  classes: readonly string[],
): Meter {
  const images: ComparedBoxes[] = [];
  return {
    add(output: Tensor, truth: BatchTruth) {
      const truths = boxesOf(truth);
      decode(output).forEach((found, i) => images.push({ found, truth: truths[i]! }));
    },
    read(): Score {
      const all = measureBoxes(images);
      const details: [name: string, figure: number | undefined][] = [
        ["mAP", meanPrecision(all)],
        [
          "mAP75",
          meanPrecision(
            all,
            IOU_THRESHOLDS.findIndex((threshold) => threshold > 0.74),
          ),
        ],
        ...AREAS.map((area): [string, number | undefined] => [`mAP${area}`, meanPrecision(measureBoxes(images, area))]),
        ...all.byClass.map(({ label, precisions }): [string, number | undefined] => [
          `AP50 ${classes[label] ?? String(label)}`,
          precisions[0],
        ]),
      ];
      const known = details.flatMap(([name, figure]) => (figure === undefined ? [] : [[name, figure] as const]));
      return { value: meanPrecision(all, 0) ?? 0, samples: images.length, details: Object.fromEntries(known) };
    },
  };
}
