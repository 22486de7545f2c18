import type { Corners } from "../../data/truth.js";
import { iouOf } from "./boxes.js";

interface Scored {
  readonly label: number;
  readonly corners: Corners;
  readonly score: number;
}

export interface SuppressOptions {
  /** Boxes of a class that overlap more are the same object. */
  readonly overlap?: number | undefined;
  readonly maximum?: number | undefined;
}

/**
 * Keeps the best of boxes that show the same object: from the highest score down, each that overlaps none kept of its class.
 * Boxes of equal scores stay in their order; none without a number as its score is kept. Cost: boxes × those kept.
 */
export function suppress<Box extends Scored>(boxes: readonly Box[], options: SuppressOptions = {}): Box[] {
  const { overlap = 0.5, maximum = 100 } = options;
  const ordered = boxes.filter(({ score }) => !Number.isNaN(score)).sort((a, b) => b.score - a.score);
  const kept: Box[] = [];
  for (const box of ordered) {
    if (kept.length >= maximum) break;
    if (kept.every(({ label, corners }) => label !== box.label || iouOf(corners, box.corners) <= overlap))
      kept.push(box);
  }
  return kept;
}
