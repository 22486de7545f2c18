import type { Random } from "../../base/index.js";
import { DIGIT_SIDE } from "./digits.js";
import { clamp01, mix } from "./field.js";
import type { Range } from "./field.js";

export const STROKES = ["thin", "plain", "bold"] as const;
export type Stroke = (typeof STROKES)[number];

/** Pixels `[x, y, width, height]`. */
export type Box = readonly [x: number, y: number, width: number, height: number];

export interface Pose {
  /** Height of the digit as a part of the picture's side. */
  readonly scale: Range;
  /** Largest turn and slant either way. Units: degrees. */
  readonly rotation: number;
  readonly slant: number;
}

/** A digit in its place: how much of each pixel of `frame` is ink (row-major, 0 … 1), and the tight box of its mask. */
export interface Glyph {
  readonly frame: Box;
  readonly box: Box;
  readonly ink: Float32Array;
}

/** Ink height of a stored digit: they were fitted into 20 pixels. */
const INK_HEIGHT = 20;
const CENTER = DIGIT_SIDE / 2;
/** Ink from here on belongs to the digit's mask. */
export const MASK_COVERAGE = 0.5;

/** Ink of a digit in 0 … 1, its lines made thinner (local minimum) or thicker (local maximum). */
export function inkOf(pixels: Uint8Array, stroke: Stroke): Float32Array {
  const side = DIGIT_SIDE;
  const ink = new Float32Array(pixels.length);
  for (let i = 0; i < ink.length; i++) ink[i] = pixels[i]! / 255;
  if (stroke === "plain") return ink;
  const result = ink.slice();
  const extreme = stroke === "thin" ? Math.min : Math.max;
  const amount = stroke === "thin" ? 0.5 : 0.45;
  for (let y = 1; y < side - 1; y++) {
    for (let i = y * side + 1; i < (y + 1) * side - 1; i++) {
      const across = extreme(ink[i - 1]!, ink[i + 1]!);
      const along = extreme(ink[i - side]!, ink[i + side]!);
      result[i] = mix(ink[i]!, extreme(ink[i]!, across, along), amount);
    }
  }
  return result;
}

/** Places a digit at a random pose inside a `side`-pixel picture, clear of the frames taken; undefined when no place was found. */
export function placeGlyph(
  ink: Float32Array,
  pose: Pose,
  side: number,
  taken: readonly Box[],
  random: Random,
): Glyph | undefined {
  const zoom = (random.uniform(...pose.scale) * side) / INK_HEIGHT;
  const turn = (random.uniform(-pose.rotation, pose.rotation) * Math.PI) / 180;
  const slant = Math.tan((random.uniform(-pose.slant, pose.slant) * Math.PI) / 180);
  // Picture = zoom · turn · slant · glyph; [a b; c d] maps glyph to picture.
  const [a, c] = [zoom * Math.cos(turn), zoom * Math.sin(turn)];
  const [b, d] = [a * slant - c, c * slant + a];
  const reach = reachOf(ink, a, b, c, d, zoom);
  for (let attempt = 0; attempt < 12; attempt++) {
    const [x, y] = [
      placeAlong(reach.left, reach.right, side, random),
      placeAlong(reach.top, reach.bottom, side, random),
    ];
    const frame = frameOf(reach, x, y, side);
    if (taken.some((box) => boxesMeet(box, frame))) continue;
    return sharpen(sample(ink, frame, x, y, [a, b, c, d]), frame, zoom);
  }
  return undefined;
}

/** Rows [a b], [c d]. */
type Matrix = readonly [a: number, b: number, c: number, d: number];

interface Reach {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** How far the ink reaches from the glyph's centre, in picture pixels. */
function reachOf(ink: Float32Array, a: number, b: number, c: number, d: number, zoom: number): Reach {
  let [left, right, top, bottom] = [0, 0, 0, 0];
  for (let i = 0; i < ink.length; i++) {
    if (ink[i]! < 0.2) continue;
    const x = (i % DIGIT_SIDE) + 0.5 - CENTER;
    const y = Math.floor(i / DIGIT_SIDE) + 0.5 - CENTER;
    const u = a * x + b * y;
    const v = c * x + d * y;
    if (u < left) left = u;
    if (u > right) right = u;
    if (v < top) top = v;
    if (v > bottom) bottom = v;
  }
  return { left: left - zoom, right: right + zoom, top: top - zoom, bottom: bottom + zoom };
}

/** A centre from which the reach stays in the picture; the middle when it is larger than that. */
function placeAlong(low: number, high: number, side: number, random: Random): number {
  return -low < side - high ? random.uniform(-low, side - high) : (side - high - low) / 2;
}

function frameOf(reach: Reach, x: number, y: number, side: number): Box {
  const [left, top] = [Math.max(0, Math.floor(x + reach.left)), Math.max(0, Math.floor(y + reach.top))];
  return [
    left,
    top,
    Math.min(side, Math.ceil(x + reach.right)) - left,
    Math.min(side, Math.ceil(y + reach.bottom)) - top,
  ];
}

const boxesMeet = (p: Box, q: Box): boolean =>
  p[0] < q[0] + q[2] && q[0] < p[0] + p[2] && p[1] < q[1] + q[3] && q[1] < p[1] + p[3];

/** Bilinear ink at four points of every pixel of the frame. */
function sample(
  ink: Float32Array,
  [left, top, width, height]: Box,
  x: number,
  y: number,
  [a, b, c, d]: Matrix,
): Float32Array {
  const determinant = a * d - b * c;
  const [ux, uy, vx, vy] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  const result = new Float32Array(width * height);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) {
        const dx = left + column + 0.25 + (k & 1) / 2 - x;
        const dy = top + row + 0.25 + (k >> 1) / 2 - y;
        sum += inkAt(ink, ux * dx + uy * dy + CENTER - 0.5, vx * dx + vy * dy + CENTER - 0.5);
      }
      result[at] = sum / 4;
    }
  }
  return result;
}

function inkAt(ink: Float32Array, u: number, v: number): number {
  const x = Math.floor(u);
  const y = Math.floor(v);
  if (x < 0 || y < 0 || x >= DIGIT_SIDE - 1 || y >= DIGIT_SIDE - 1) return 0;
  const at = y * DIGIT_SIDE + x;
  const top = mix(ink[at]!, ink[at + 1]!, u - x);
  return mix(top, mix(ink[at + DIGIT_SIDE]!, ink[at + DIGIT_SIDE + 1]!, u - x), v - y);
}

/** Restores full ink and crisp edges (enlarged strokes would be blurred), and finds the box of the mask. */
function sharpen(ink: Float32Array, [left, top, width, height]: Box, zoom: number): Glyph {
  let peak = 0;
  for (let i = 0; i < ink.length; i++) if (ink[i]! > peak) peak = ink[i]!;
  const slope = Math.max(1.2, zoom);
  let [minX, maxX, minY, maxY] = [width, -1, height, -1];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      ink[i] = clamp01((ink[i]! / peak - 0.45) * slope + 0.5);
      if (ink[i]! < MASK_COVERAGE) continue;
      if (x < minX) minX = x;
      if (x > maxX) maxX = x;
      if (y < minY) minY = y;
      if (y > maxY) maxY = y;
    }
  }
  const box: Box = [left + minX, top + minY, maxX - minX + 1, maxY - minY + 1];
  return { frame: [left, top, width, height], box, ink };
}
