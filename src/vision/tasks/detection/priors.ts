import { priorBoxes } from "../../../graph/index.js";
import type { Corners } from "../../data/truth.js";
import type { Size } from "../../preprocess/window.js";
import type { HeadRecord } from "../metadata.js";
import { areaOf, iouOf, sharedArea } from "./boxes.js";
import type { CreateCoder } from "./coder.js";
import { eachPlace, levelsOver } from "./grid.js";

type PriorHead = Extract<HeadRecord, { kind: "ssd" }>;

/** A prior that overlaps an object by as much answers for it; one that lies in a crowd by as much does not count. */
const LEAST_OVERLAP = 0.5;

/**
 * SSD: boxes are offsets from priors, which lie around each place of each level, one for each ratio.
 * Shapes: [4 + 1 + K, P], priors of a place one after the other, places row by row, levels side by side: offsets, then logits with the background first.
 *
 * Targets, see `priorBoxes`: each prior answers for the object that it overlaps most, if that is enough; each object has the prior that
 * overlaps it most in any case.
 * Source: Liu et al. 2016, arXiv:1512.02325, §2.2; variances as in the authors' code. Differs: one scale for each level.
 */
export const priorCoder: CreateCoder<PriorHead> = (head, classes, image) => {
  const priors = priorsOf(head, image);
  const count = priors.length;
  return {
    loss: priorBoxes(),
    dims: [5 + classes, count],

    encode(boxes, into) {
      const objects = boxes.filter(({ crowd, corners }) => !crowd && areaOf(corners) > 0);
      const crowds = boxes.filter(({ crowd }) => crowd);
      const overlaps = objects.map(({ corners }) => Float64Array.from(priors, (prior) => iouOf(prior, corners)));
      const owners = priors.map((_, p) => indexOfLargest(overlaps.map((row) => row[p]!)));
      const best = new Map(overlaps.map((row, object) => [indexOfLargest(row), object]));
      priors.forEach((prior, p) => {
        const near = owners[p]! >= 0 && overlaps[owners[p]!]![p]! >= LEAST_OVERLAP ? owners[p] : undefined;
        const owner = objects[best.get(p) ?? near ?? -1];
        const isInCrowd = (): boolean =>
          crowds.some(({ corners }) => sharedArea(prior, corners) >= LEAST_OVERLAP * areaOf(prior));
        if (owner) offsetsOf(prior, owner.corners, head).forEach((offset, row) => (into[row * count + p] = offset));
        if (owner) into[(5 + owner.label) * count + p] = 1;
        else if (!isInCrowd()) into[4 * count + p] = 1;
      });
    },

    decode(output) {
      const corners = new Float64Array(4 * count);
      const scores = new Float64Array(classes * count);
      priors.forEach((prior, p) => {
        const at = (row: number): number => output[row * count + p]!;
        corners.set(cornersFrom(prior, [at(0), at(1), at(2), at(3)], head), 4 * p);
        const logits = Array.from({ length: classes + 1 }, (_, k) => at(4 + k));
        const largest = Math.max(...logits);
        const powers = logits.map((logit) => Math.exp(logit - largest));
        const sum = powers.reduce((a, b) => a + b);
        for (let k = 0; k < classes; k++) scores[k * count + p] = powers[k + 1]! / sum;
      });
      return { count, corners, scores };
    },
  };
};

function priorsOf({ strides, scales, ratios }: PriorHead, image: Size): readonly Corners[] {
  return levelsOver(strides, image).levels.flatMap((level, i) => {
    const priors: Corners[] = [];
    eachPlace(level, (_, x, y) => {
      for (const ratio of ratios) {
        const width = (scales[i]! * Math.sqrt(ratio) * image.width) / 2;
        const height = (scales[i]! * image.height) / Math.sqrt(ratio) / 2;
        priors.push([x - width, y - height, x + width, y + height]);
      }
    });
    return priors;
  });
}

const middleOf = ([left, top, right, bottom]: Corners): [x: number, y: number, width: number, height: number] => [
  (left + right) / 2,
  (top + bottom) / 2,
  right - left,
  bottom - top,
];

function offsetsOf(prior: Corners, box: Corners, { variances }: PriorHead): number[] {
  const [px, py, pw, ph] = middleOf(prior);
  const [x, y, w, h] = middleOf(box);
  return [(x - px) / pw, (y - py) / ph, Math.log(w / pw), Math.log(h / ph)].map((offset, i) => offset / variances[i]!);
}

function cornersFrom(prior: Corners, offsets: readonly number[], { variances }: PriorHead): Corners {
  const [px, py, pw, ph] = middleOf(prior);
  const [dx, dy, dw, dh] = offsets.map((offset, i) => offset * variances[i]!) as [number, number, number, number];
  const [x, y, w, h] = [px + dx * pw, py + dy * ph, pw * Math.exp(dw), ph * Math.exp(dh)];
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}

/** The first position of the largest value; -1 where there is none. */
function indexOfLargest(values: ArrayLike<number>): number {
  let best = values.length > 0 ? 0 : -1;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
