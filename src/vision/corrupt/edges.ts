import { createField, mapValues, type Field } from "./field.js";
import { correlate, type Tap } from "./filter.js";

const SOBEL_X: readonly Tap[] = [-1, 0, 1].flatMap((dy) =>
  [-1, 1].map((dx) => ({ dx, dy, weight: dx * (2 - Math.abs(dy)) })),
);
const SOBEL_Y: readonly Tap[] = SOBEL_X.map(({ dx, dy, weight }) => ({ dx: dy, dy: dx, weight }));

const NEIGHBOURS = [-1, 0, 1]
  .flatMap((dy) => [-1, 0, 1].map((dx) => [dx, dy] as const))
  .filter(([dx, dy]) => dx !== 0 || dy !== 0);

/** Tangents of 22.5 and 67.5 degrees: where a gradient counts as along a row, a column or a diagonal. */
const FLAT = Math.SQRT2 - 1;
const STEEP = Math.SQRT2 + 1;

/**
 * Canny edges of a one-channel field: 1 on edges, else 0. Units: thresholds in levels of 1/255, on |gx| + |gy|.
 * Source: cv2.Canny with its defaults (Sobel 3 x 3, no smoothing), including how it breaks ties.
 */
export function cannyEdges(field: Field, low: number, high: number): Field {
  const { width, height } = field;
  const levels = mapValues(field, (value) => Math.round(value * 255));
  const gx = correlate(levels, SOBEL_X, "nearest").data;
  const gy = correlate(levels, SOBEL_Y, "nearest").data;
  const strength = gx.map((value, at) => Math.abs(value) + Math.abs(gy[at]!));
  const at = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= width || y >= height ? 0 : strength[y * width + x]!;

  /** Non-maximum suppression: is this pixel a crest across its gradient? */
  const isCrest = (x: number, y: number): boolean => {
    const [here, dx, dy] = [at(x, y), gx[y * width + x]!, gy[y * width + x]!];
    const slope = Math.abs(dy) / Math.abs(dx);
    if (slope < FLAT) return here > at(x - 1, y) && here >= at(x + 1, y);
    if (slope > STEEP) return here > at(x, y - 1) && here >= at(x, y + 1);
    const side = dx < 0 !== dy < 0 ? -1 : 1;
    return here > at(x - side, y - 1) && here > at(x + side, y + 1);
  };

  const crest = createField(width, height, 1);
  const edges = createField(width, height, 1);
  const open: (readonly [number, number])[] = [];
  const mark = (x: number, y: number): void => {
    edges.data[y * width + x] = 1;
    open.push([x, y]);
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (at(x, y) <= low || !isCrest(x, y)) continue;
      crest.data[y * width + x] = 1;
      if (at(x, y) > high) mark(x, y);
    }
  }
  // Hysteresis: a weak crest counts when it touches an edge.
  for (let next = open.pop(); next; next = open.pop()) {
    for (const [dx, dy] of NEIGHBOURS) {
      const [x, y] = [next[0] + dx, next[1] + dy];
      const inside = x >= 0 && y >= 0 && x < width && y < height;
      if (inside && crest.data[y * width + x] === 1 && edges.data[y * width + x] === 0) mark(x, y);
    }
  }
  return edges;
}

/** Moves that come before a pixel in reading order, with their lengths. Source: the 5 x 5 mask of cv2.distanceTransform (Borgefors 1986). */
const STEPS_BACK = [
  [-1, -2, 2.1969],
  [1, -2, 2.1969],
  [-2, -1, 2.1969],
  [-1, -1, 1.4],
  [0, -1, 1],
  [1, -1, 1.4],
  [2, -1, 2.1969],
  [-1, 0, 1],
] as const;

/** Chamfer distance to the nearest pixel that is 1, at most `limit`. Units: pixels. */
export function distanceTo(field: Field, limit: number): Field {
  const { width, height, data } = field;
  const distance = data.map((value) => (value === 1 ? 0 : limit));
  const relax = (x: number, y: number, direction: 1 | -1): void => {
    for (const [dx, dy, length] of STEPS_BACK) {
      const [fromX, fromY] = [x + direction * dx, y + direction * dy];
      if (fromX < 0 || fromY < 0 || fromX >= width || fromY >= height) continue;
      distance[y * width + x] = Math.min(distance[y * width + x]!, distance[fromY * width + fromX]! + length);
    }
  };
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) relax(x, y, 1);
  for (let y = height - 1; y >= 0; y--) for (let x = width - 1; x >= 0; x--) relax(x, y, -1);
  return { ...field, data: distance };
}

/** Spreads the levels of a one-channel field evenly. Source: cv2.equalizeHist. */
export function equalize(field: Field): Field {
  const counts = new Array<number>(256).fill(0);
  const levels = Array.from(field.data, (value) => Math.round(value * 255));
  for (const level of levels) counts[level]!++;
  const first = counts.findIndex((count) => count > 0);
  const rest = levels.length - counts[first]!;
  if (rest === 0) return field;
  let sum = 0;
  const table = counts.map((count, level) => (level <= first ? 0 : Math.round(((sum += count) * 255) / rest) / 255));
  return mapValues(field, (_, at) => table[levels[at]!]!);
}
