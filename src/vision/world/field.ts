/** A square RGB picture while it is being made: HWC, 0 = black, 1 = white, values may overshoot until it is quantized. */
export interface Field {
  readonly size: number;
  readonly data: Float32Array;
}

export type Rgb = readonly [red: number, green: number, blue: number];
/** Low and high end of a uniform draw. */
export type Range = readonly [low: number, high: number];

/** Lengths in this folder are pixels of a picture this wide, so that a scene looks alike at every size. */
export const REFERENCE_SIZE = 32;

export const createField = (size: number): Field => ({ size, data: new Float32Array(size * size * 3) });

/** Pixels of this field per reference pixel. */
export const unitOf = (field: Field): number => field.size / REFERENCE_SIZE;

export const clamp01 = (x: number): number => (x < 0 ? 0 : x > 1 ? 1 : x);
export const mix = (a: number, b: number, t: number): number => a + (b - a) * t;
export const luminance = (red: number, green: number, blue: number): number =>
  0.299 * red + 0.587 * green + 0.114 * blue;

/** 0 below `low`, 1 above `high`, smooth between. */
export function smoothstep(low: number, high: number, x: number): number {
  const t = clamp01((x - low) / (high - low));
  return t * t * (3 - 2 * t);
}

/** Runs `shade(u, v, at)` for every pixel: `u` right, `v` down in reference pixels, `at` the offset of its red value. */
export function eachPixel(field: Field, shade: (u: number, v: number, at: number) => void): void {
  const step = REFERENCE_SIZE / field.size;
  for (let y = 0, at = 0; y < field.size; y++) {
    for (let x = 0; x < field.size; x++, at += 3) shade((x + 0.5) * step, (y + 0.5) * step, at);
  }
}

/** Rounds to bytes, HWC. */
export function quantize(field: Field): Uint8Array {
  const bytes = new Uint8Array(field.data.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = clamp01(field.data[i]!) * 255 + 0.5;
  return bytes;
}

/** A number in [0, 1) for a point of the whole-number lattice, the same on every platform. */
export function hash2(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ seed;
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

const LATTICE_SIDE = 256;
const LATTICE = Float32Array.from({ length: LATTICE_SIDE ** 2 }, (_, i) => hash2(i, 0, 1));

/** Smooth noise in [0, 1) with features about one unit wide; repeats after 256 units. */
export function valueNoise(u: number, v: number, seed: number): number {
  const x = Math.floor(u);
  const y = Math.floor(v);
  const fx = u - x;
  const fy = v - y;
  const sx = fx * fx * (3 - 2 * fx);
  const sy = fy * fy * (3 - 2 * fy);
  // The seed is a place on the lattice; multiplying keeps neighbouring seeds apart.
  const origin = Math.imul(seed, 0x9e3779b1) >>> 16;
  const left = (x + origin) & 255;
  const right = (left + 1) & 255;
  const row = (y + (origin >> 8)) & 255;
  const upper = row << 8;
  const lower = ((row + 1) & 255) << 8;
  const top = LATTICE[upper + left]! * (1 - sx) + LATTICE[upper + right]! * sx;
  const bottom = LATTICE[lower + left]! * (1 - sx) + LATTICE[lower + right]! * sx;
  return top + (bottom - top) * sy;
}

/** Octaves of value noise, each half as wide and half as strong, in [0, 1). */
export function fractalNoise(u: number, v: number, seed: number, octaves: number): number {
  let sum = 0;
  let total = 0;
  for (let octave = 0, weight = 1, scale = 1; octave < octaves; octave++, weight /= 2, scale *= 2) {
    sum += weight * valueNoise(u * scale, v * scale, seed + octave);
    total += weight;
  }
  return sum / total;
}
