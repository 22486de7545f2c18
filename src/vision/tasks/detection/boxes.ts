import type { Corners, TruthBox } from "../../data/truth.js";
import type { Size } from "../../preprocess/window.js";

/** An object that a detector found. */
export interface FoundBox extends TruthBox {
  /** In [0, 1]. */
  readonly score: number;
}

/** Units: pixels. */
export const areaOf = (box: Corners): number => (box[2] - box[0]) * (box[3] - box[1]);

/** What two boxes share. Units: pixels. */
export function sharedArea(a: Corners, b: Corners): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return width > 0 && height > 0 ? width * height : 0;
}

/** Intersection over union, in [0, 1]; 0 for boxes without an area. */
export function iouOf(a: Corners, b: Corners): number {
  const shared = sharedArea(a, b);
  return shared === 0 ? 0 : shared / (areaOf(a) + areaOf(b) - shared);
}

export const isInside = ([left, top, right, bottom]: Corners, x: number, y: number): boolean =>
  x >= left && x < right && y >= top && y < bottom;

/** The part of a box that lies in the picture; without an area where none does. */
export const clipCorners = (box: Corners, { width, height }: Size): Corners => [
  clip(box[0], width),
  clip(box[1], height),
  clip(box[2], width),
  clip(box[3], height),
];

const clip = (value: number, end: number): number => Math.min(Math.max(value, 0), end);
