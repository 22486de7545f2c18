import { Random } from "../../base/index.js";
import { clamp01, eachPixel, fractalNoise, luminance, mix, smoothstep, unitOf } from "./field.js";
import type { Field, Range, Rgb } from "./field.js";

/** What weather, light and sensors do to a finished scene. Lengths are reference pixels, intensities parts of white. */
interface Settings {
  /** Multiplies by `gain` and a colour, then sinks the dark tones: `toe` 0 leaves values alone, 1 squares them. */
  readonly exposure: { readonly gain: Range; readonly toe: Range; readonly colour: Rgb };
  /** One lamp near the picture's middle: its colour inside `radius`, `ambient` light far away. */
  readonly lamp: { readonly radius: Range; readonly strength: Range; readonly ambient: number; readonly colour: Rgb };
  /** Koschmieder's law, c·t + airlight·(1 − t) with t = exp(−density·depth); patchy, and deeper towards the top. */
  readonly fog: { readonly density: Range; readonly colour: Rgb };
  /** Pulls towards the picture's mean grey (and `lift` above it). */
  readonly contrast: { readonly factor: Range; readonly lift: Range };
  /** PatchLine's square snow: opaque grey squares of one reference pixel; `level` is the paper's count, 1000 … 10000. */
  readonly squares: { readonly level: Range; readonly grey: number };
  /** Gaussian blur of the lens. */
  readonly blur: { readonly sigma: Range };
  /** Straight motion of the camera while the shutter is open. */
  readonly motion: { readonly length: Range };
  /** Shot noise (deviation at white), read noise, and the part of dead or hot pixels. */
  readonly noise: { readonly shot: Range; readonly read: Range; readonly defects: number };
  /** Bright streaks over a greyed picture. */
  readonly rain: { readonly drops: Range; readonly length: Range; readonly opacity: number; readonly veil: number };
  /** A light source at the edge: bloom around it and a veil over everything. */
  readonly glare: { readonly strength: Range; readonly radius: Range; readonly veil: Range; readonly colour: Rgb };
}

export type EffectKind = keyof Settings;
export type Effect<K extends EffectKind = EffectKind> = { [P in K]: { readonly kind: P } & Settings[P] }[K];

/** Changes the field in place by one effect of random strength within its settings. */
export function applyEffect<K extends EffectKind>(field: Field, effect: Effect<K>, random: Random): void {
  APPLY[effect.kind](field, effect, random);
}

const APPLY: { readonly [K in EffectKind]: (field: Field, settings: Settings[K], random: Random) => void } = {
  exposure({ data }, { gain, toe, colour }, random) {
    const factor = random.uniform(...gain);
    const bend = random.uniform(...toe);
    for (let i = 0; i < data.length; i += 3) {
      for (let channel = 0; channel < 3; channel++) {
        const value = clamp01(data[i + channel]! * factor * colour[channel]!);
        data[i + channel] = mix(value, value * value, bend);
      }
    }
  },

  lamp(field, { radius, strength, ambient, colour }, random) {
    const [x, y] = [random.uniform(8, 24), random.uniform(8, 24)];
    const [reach, power] = [random.uniform(...radius), random.uniform(...strength)];
    eachPixel(field, (u, v, at) => {
      const squared = ((u - x) ** 2 + (v - y) ** 2) / reach ** 2;
      const light = power / (1 + squared * squared);
      for (let channel = 0; channel < 3; channel++) field.data[at + channel]! *= ambient + light * colour[channel]!;
    });
  },

  fog(field, { density, colour }, random) {
    const [thickness, seed] = [random.uniform(...density), random.uint32() | 0];
    eachPixel(field, (u, v, at) => {
      const depth = 1.3 - (0.6 * v) / 32 + 0.6 * (fractalNoise(u / 16, v / 10, seed, 2) - 0.5);
      const through = Math.exp(-thickness * depth);
      for (let channel = 0; channel < 3; channel++) {
        field.data[at + channel] = mix(colour[channel]!, clamp01(field.data[at + channel]!), through);
      }
    });
  },

  contrast(field, { factor, lift }, random) {
    const [scale, raise] = [random.uniform(...factor), random.uniform(...lift)];
    const mean = meanGrey(field);
    for (let i = 0; i < field.data.length; i++) field.data[i] = mean + raise + scale * (field.data[i]! - mean);
  },

  squares(field, { level, grey }, random) {
    const side = Math.max(1, Math.round(unitOf(field)));
    // The paper draws 3x3 squares on 350x350 pictures; this count keeps their coverage.
    const count = Math.round(random.uniform(...level) * (9 / side ** 2) * (field.size / 350) ** 2);
    for (let i = 0; i < count; i++) {
      fillRow(field, random.int(0, field.size - side + 1), random.int(0, field.size - side + 1), side, grey);
    }
  },

  blur(field, { sigma }, random) {
    const width = random.uniform(...sigma) * unitOf(field);
    const radius = Math.ceil(2.5 * width);
    const kernel = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-0.5 * ((i - radius) / width) ** 2));
    convolve(field, kernel, 1, 0);
    convolve(field, kernel, 0, 1);
  },

  motion(field, { length }, random) {
    const steps = Math.max(3, Math.round(random.uniform(...length) * unitOf(field)) | 1);
    const angle = random.uniform(0, Math.PI);
    convolve(
      field,
      Array.from({ length: steps }, () => 1),
      Math.cos(angle),
      Math.sin(angle),
    );
  },

  noise({ data }, { shot, read, defects }, random) {
    const photon = random.uniform(...shot) ** 2;
    const floor = random.uniform(...read) ** 2;
    for (let i = 0; i < data.length; i += 3) {
      const bits = random.uint32();
      for (let channel = 0; channel < 3; channel++) {
        const value = clamp01(data[i + channel]!);
        data[i + channel] = value + Math.sqrt(photon * value + floor) * NORMALS[(bits >>> (10 * channel)) & 1023]!;
      }
    }
    for (let left = random.poisson((defects * data.length) / 3); left > 0; left--) {
      const at = 3 * random.int(0, data.length / 3);
      data.fill(random.next() < 0.5 ? 0 : 1, at, at + 3);
    }
  },

  rain(field, { drops, length, opacity, veil }, random) {
    const { size, data } = field;
    for (let i = 0; i < data.length; i++) data[i] = mix(clamp01(data[i]!), 0.55, veil);
    const lean = random.uniform(-0.35, 0.35);
    const unit = unitOf(field);
    for (let left = Math.round(random.uniform(...drops)); left > 0; left--) {
      const [x, y] = [random.uniform(-4, 36) * unit, random.uniform(-8, 32) * unit];
      const [reach, strength] = [random.uniform(...length) * unit, opacity * random.uniform(0.5, 1)];
      for (let step = 0; step < reach; step++) {
        const [column, row] = [Math.floor(x + lean * step), Math.floor(y + step)];
        if (column < 0 || row < 0 || column >= size || row >= size) continue;
        const at = (row * size + column) * 3;
        for (let channel = 0; channel < 3; channel++) data[at + channel] = mix(data[at + channel]!, 0.9, strength);
      }
    }
  },

  glare(field, { strength, radius, veil, colour }, random) {
    const angle = random.uniform(0, 2 * Math.PI);
    const [x, y] = [16 + 15 * Math.cos(angle), 16 + 15 * Math.sin(angle)];
    const [power, reach, haze] = [random.uniform(...strength), random.uniform(...radius), random.uniform(...veil)];
    eachPixel(field, (u, v, at) => {
      const distance = Math.sqrt((u - x) ** 2 + (v - y) ** 2) / reach;
      const bloom = power / (1 + distance * distance) + power * smoothstep(0.35, 0.1, distance) + haze;
      for (let channel = 0; channel < 3; channel++) {
        // Light adds; the film's shoulder keeps it below white.
        const value = clamp01(field.data[at + channel]!) + bloom * colour[channel]!;
        field.data[at + channel] = value / (1 + 0.35 * bloom);
      }
    });
  },
};

function meanGrey({ data }: Field): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += luminance(data[i]!, data[i + 1]!, data[i + 2]!);
  return (3 * sum) / data.length;
}

function fillRow({ size, data }: Field, x: number, y: number, side: number, grey: number): void {
  for (let row = y; row < y + side; row++) data.fill(grey, (row * size + x) * 3, (row * size + x + side) * 3);
}

/** Weighted mean of the pixels in a line through each pixel, `(stepX, stepY)` apart, edges repeated. */
function convolve({ size, data }: Field, kernel: readonly number[], stepX: number, stepY: number): void {
  const source = data.slice();
  const total = kernel.reduce((sum, weight) => sum + weight, 0);
  const inside = (i: number): number => (i < 0 ? 0 : i >= size ? size - 1 : i);
  data.fill(0);
  for (let tap = 0; tap < kernel.length; tap++) {
    const weight = kernel[tap]! / total;
    const place = tap - (kernel.length - 1) / 2;
    const dx = Math.round(place * stepX);
    const dy = Math.round(place * stepY);
    for (let y = 0, at = 0; y < size; y++) {
      const row = inside(y + dy) * size;
      for (let x = 0; x < size; x++, at += 3) {
        const from = (row + inside(x + dx)) * 3;
        data[at]! += weight * source[from]!;
        data[at + 1]! += weight * source[from + 1]!;
        data[at + 2]! += weight * source[from + 2]!;
      }
    }
  }
}

/** A thousand standard normal numbers, so that one draw of 32 bits serves three channels. */
const NORMALS = normalTable(new Random(1), 1024);

function normalTable(random: Random, count: number): Float32Array {
  const table = Float32Array.from({ length: count }, () => random.normal());
  const mean = table.reduce((sum, value) => sum + value, 0) / count;
  const deviation = Math.sqrt(table.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count);
  return table.map((value) => (value - mean) / deviation);
}
