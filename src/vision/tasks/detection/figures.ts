import type { TruthBox } from "../../data/truth.js";
import { areaOf, type FoundBox, sharedArea } from "./boxes.js";

/** What was found in one picture, and what is there. */
export interface ComparedBoxes {
  readonly found: readonly FoundBox[];
  readonly truth: readonly TruthBox[];
}

/** Areas of objects that are measured apart. Units: pixels. Source: COCO. */
const AREAS = { all: [0, 1e10], small: [0, 32 ** 2], medium: [32 ** 2, 96 ** 2], large: [96 ** 2, 1e10] } as const;
export type AreaName = keyof typeof AREAS;
type Range = readonly [least: number, most: number];

/** Numbers spaced as NumPy's `linspace` spaces them, to the last bit. */
const spaced = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (i === count - 1 ? to : from + i * ((to - from) / (count - 1))));

/** What a box has to overlap an object by, to have found it. */
export const IOU_THRESHOLDS: readonly number[] = spaced(0.5, 0.95, 10);
const RECALLS: readonly number[] = spaced(0, 1, 101);
/** Of a class, in one picture. */
const MOST_FOUND = 100;

/** Average precision at each of `IOU_THRESHOLDS`, of the classes of which there are objects. */
export interface BoxFigures {
  readonly byClass: readonly { readonly label: number; readonly precisions: readonly number[] }[];
}

/**
 * Average precision by COCO's rules: 101 points of recall, ten thresholds, the best 100 boxes of a class in a picture; boxes in a crowd, and
 * objects of other sizes, count neither as found nor as missed. Cost: boxes × objects of each picture and class.
 * Source: pycocotools `cocoeval.py`, whose numbers these are; a box's area stands for that of its mask.
 */
export function measureBoxes(images: readonly ComparedBoxes[], area: AreaName = "all"): BoxFigures {
  const labels = new Set(images.flatMap(({ truth }) => truth.map(({ label }) => label)));
  const byClass = [...labels]
    .sort((a, b) => a - b)
    .flatMap((label) => {
      const matches = images.map((image) => matchBoxes(image, label, AREAS[area]));
      const objects = matches.reduce((sum, match) => sum + match.objects, 0);
      const precisions = (): number[] => IOU_THRESHOLDS.map((_, t) => averagePrecision(matches, t, objects));
      return objects === 0 ? [] : [{ label, precisions: precisions() }];
    });
  return { byClass };
}

type Verdict = "right" | "wrong" | "ignored";

interface Matches {
  /** Objects that count. */
  readonly objects: number;
  /** Of the boxes found, from high to low. */
  readonly scores: readonly number[];
  /** By threshold, then by box. */
  readonly verdicts: readonly (readonly Verdict[])[];
}

/** Gives each box, from the highest score down, the object that it overlaps most among those still free. */
function matchBoxes(image: ComparedBoxes, label: number, range: Range): Matches {
  const isOutside = (box: TruthBox): boolean => areaOf(box.corners) < range[0] || areaOf(box.corners) > range[1];
  const isIgnored = (box: TruthBox): boolean => box.crowd === true || isOutside(box);
  const found = image.found
    .filter((box) => box.label === label)
    .sort((a, b) => b.score - a.score)
    .slice(0, MOST_FOUND);
  const ofClass = image.truth.filter((box) => box.label === label);
  const counting = ofClass.filter((box) => !isIgnored(box));
  const truth = [...counting, ...ofClass.filter(isIgnored)];
  const overlaps = found.map((box) => truth.map((object) => overlapOf(box, object)));

  const verdicts = IOU_THRESHOLDS.map((threshold) => {
    const taken = new Set<number>();
    return found.map((box, i): Verdict => {
      let best = Math.min(threshold, 1 - 1e-10);
      let match = -1;
      for (let j = 0; j < truth.length; j++) {
        if (taken.has(j) && truth[j]!.crowd !== true) continue;
        // one that counts is preferred to all that do not
        if (match >= 0 && match < counting.length && j >= counting.length) break;
        if (overlaps[i]![j]! >= best) [best, match] = [overlaps[i]![j]!, j];
      }
      if (match < 0) return isOutside(box) ? "ignored" : "wrong";
      taken.add(match);
      return match < counting.length ? "right" : "ignored";
    });
  });
  return { objects: counting.length, scores: found.map(({ score }) => score), verdicts };
}

/** Intersection over union; with a crowd, the share of the box that lies in it. */
function overlapOf(box: FoundBox, object: TruthBox): number {
  const shared = sharedArea(box.corners, object.corners);
  const own = areaOf(box.corners);
  return shared === 0 ? 0 : shared / (object.crowd ? own : own + areaOf(object.corners) - shared);
}

/** The mean over recalls of the best precision at that recall or a higher one. */
function averagePrecision(matches: readonly Matches[], threshold: number, objects: number): number {
  const ordered = matches
    .flatMap(({ scores, verdicts }) => scores.map((score, i) => ({ score, verdict: verdicts[threshold]![i]! })))
    .filter(({ verdict }) => verdict !== "ignored")
    .sort((a, b) => b.score - a.score);
  let right = 0;
  const curve = ordered.map(({ verdict }, i) => {
    if (verdict === "right") right++;
    return { recall: right / objects, precision: right / (i + 1) };
  });
  let best = 0;
  const envelope = curve.map(({ precision }) => precision);
  for (let i = envelope.length - 1; i >= 0; i--) envelope[i] = best = Math.max(best, envelope[i]!);
  let at = 0;
  const sum = RECALLS.reduce((total, recall) => {
    while (at < curve.length && curve[at]!.recall < recall) at++;
    return total + (envelope[at] ?? 0);
  }, 0);
  return sum / RECALLS.length;
}
