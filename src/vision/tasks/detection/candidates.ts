import type { Size } from "../../preprocess/window.js";
import type { Corners } from "../../data/truth.js";
import { areaOf, clipCorners, type FoundBox } from "./boxes.js";
import type { Candidates } from "./coder.js";
import { suppress } from "./suppress.js";

/** Boxes of smaller scores are never right often enough to matter. */
const LEAST_SCORE = 0.01;
/** Boxes that suppression looks at; the rest has lower scores than all of them. */
const MOST_CANDIDATES = 1000;
/** Boxes that say how unsure a model is of a picture. Source: PatchLine, sample selection. */
const MOST_UNSURE = 20;

const cornersAt = ({ corners }: Candidates, place: number): Corners => [
  corners[4 * place]!,
  corners[4 * place + 1]!,
  corners[4 * place + 2]!,
  corners[4 * place + 3]!,
];

/** The objects of a picture: the best boxes of each class, from high scores to low, cut at the edges. */
export function findBoxes(candidates: Candidates, image: Size): readonly FoundBox[] {
  const { scores, count } = candidates;
  const likely: number[] = [];
  for (let at = 0; at < scores.length; at++) if (scores[at]! >= LEAST_SCORE) likely.push(at);
  likely.sort((a, b) => scores[b]! - scores[a]!);
  const boxes: FoundBox[] = [];
  for (const at of likely.slice(0, MOST_CANDIDATES)) {
    const corners = clipCorners(cornersAt(candidates, at % count), image);
    if (areaOf(corners) > 0) boxes.push({ label: Math.floor(at / count), corners, score: scores[at]! });
  }
  return suppress(boxes);
}

/**
 * How unsure a model is of a picture, in [0, 1]: mean over its best boxes of H(p) / ln(K + 1) · max p, where p is over classes and
 * background; 1 where a number is missing. Scores that add up to more than 1 are brought down to it.
 * Source: PatchLine, sample selection.
 */
export function uncertaintyOf(candidates: Candidates): number {
  const { scores, count } = candidates;
  if (scores.some(Number.isNaN)) return 1;
  const classes = scores.length / count;
  const scoreAt = (k: number, place: number): number => scores[k * count + place]!;
  const best = Array.from({ length: count }, (_, place) => {
    let score = 0;
    for (let k = 0; k < classes; k++) score = Math.max(score, scoreAt(k, place));
    return { label: 0, corners: cornersAt(candidates, place), score, place };
  });
  best.sort((a, b) => b.score - a.score);
  const boxes = suppress(best.slice(0, MOST_CANDIDATES), { maximum: MOST_UNSURE });
  const each = boxes.map(({ place }) => {
    const found = Array.from({ length: classes }, (_, k) => scoreAt(k, place));
    const sum = found.reduce((a, b) => a + b, 0);
    const p = found.map((score) => score / Math.max(1, sum));
    const entropy = [...p, Math.max(0, 1 - sum)].reduce((h, x) => (x > 0 ? h - x * Math.log(x) : h), 0);
    return (Math.max(...p) * entropy) / Math.log(classes + 1);
  });
  return each.length === 0 ? 0 : Math.min(1, each.reduce((a, b) => a + b) / each.length);
}
