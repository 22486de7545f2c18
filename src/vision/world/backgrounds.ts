import type { Random } from "../../base/index.js";
import { clamp01, eachPixel, fractalNoise, hash2, mix, smoothstep, valueNoise } from "./field.js";
import type { Field, Rgb } from "./field.js";

/** Tone in [0, 1] at a point in reference pixels; the ramp turns it into a colour. */
type Tone = (u: number, v: number) => number;

interface Background {
  /** Colours for tone 0 … 1, evenly spaced. */
  readonly ramp: readonly Rgb[];
  /** Keeps the horizon level: no turning. */
  readonly upright?: true;
  readonly create: (random: Random) => Tone;
}

const seedOf = (random: Random): number => random.uint32() | 0;
const fract = (x: number): number => x - Math.floor(x);

/** Distance to the nearest of the jittered lattice points, one per unit cell (Worley noise), and that point's own number. */
function nearestCell(u: number, v: number, seed: number): { distance: number; id: number } {
  const x = Math.floor(u);
  const y = Math.floor(v);
  let best = 9;
  let id = 0;
  for (let j = y - 1; j <= y + 1; j++) {
    for (let i = x - 1; i <= x + 1; i++) {
      const du = i + hash2(i, j, seed) - u;
      const dv = j + hash2(i, j, seed ^ 0x55555555) - v;
      const distance = du * du + dv * dv;
      if (distance < best) [best, id] = [distance, hash2(i, j, seed ^ 0x33333333)];
    }
  }
  return { distance: Math.sqrt(best), id };
}

function wall(width: number, height: number, joint: number): Background["create"] {
  return (random) => {
    const seed = seedOf(random);
    return (u, v) => {
      const row = Math.floor(v / height);
      const x = u / width + (row & 1) / 2;
      const inside = fract(x) * width > joint && fract(v / height) * height > joint;
      return inside
        ? 0.45 * hash2(Math.floor(x), row, seed) + 0.2 * valueNoise(u, v, seed)
        : 0.9 + 0.1 * valueNoise(u, v, seed);
    };
  };
}

export const BACKGROUNDS = {
  asphalt: {
    ramp: [
      [0.2, 0.2, 0.22],
      [0.36, 0.36, 0.38],
      [0.5, 0.5, 0.5],
      [0.86, 0.84, 0.76],
    ],
    create: (random) => {
      const seed = seedOf(random);
      const line = random.next() < 0.4 ? random.uniform(3, 29) : -9;
      return (u, v) => {
        const speckle = 0.35 * valueNoise(u * 1.3, v * 1.3, seed) + 0.25 * valueNoise(u / 7, v / 7, seed + 1);
        return Math.abs(u - line) < 1.3 ? 0.8 + 0.2 * speckle : speckle;
      };
    },
  },
  grass: {
    ramp: [
      [0.1, 0.22, 0.07],
      [0.22, 0.42, 0.12],
      [0.45, 0.6, 0.22],
    ],
    upright: true,
    create: (random) => {
      const seed = seedOf(random);
      return (u, v) => 0.6 * valueNoise(u * 1.1, v / 3.5, seed) + 0.4 * fractalNoise(u / 6, v / 6, seed + 1, 2);
    },
  },
  brick: {
    ramp: [
      [0.42, 0.17, 0.12],
      [0.62, 0.28, 0.2],
      [0.72, 0.45, 0.35],
      [0.76, 0.72, 0.67],
    ],
    create: wall(9, 4.5, 0.9),
  },
  wood: {
    ramp: [
      [0.36, 0.22, 0.11],
      [0.55, 0.36, 0.19],
      [0.74, 0.54, 0.32],
    ],
    create: (random) => {
      const seed = seedOf(random);
      const plank = random.uniform(8, 14);
      return (u, v) => {
        const board = Math.floor(v / plank);
        const shade = hash2(board, 7, seed);
        const rings = fract((v / plank) * 2 + shade + 1.3 * valueNoise(u / 14, v / 4, seed + board));
        const seam = fract(v / plank) * plank < 0.8 ? 0.5 : 1;
        return seam * (0.2 + 0.35 * Math.abs(2 * rings - 1) + 0.35 * shade + 0.1 * valueNoise(u / 3, v * 1.5, seed));
      };
    },
  },
  sky: {
    ramp: [
      [0.25, 0.46, 0.78],
      [0.5, 0.68, 0.9],
      [0.78, 0.86, 0.94],
      [0.97, 0.97, 0.97],
    ],
    upright: true,
    create: (random) => {
      const seed = seedOf(random);
      const cover = random.uniform(0.45, 0.7);
      return (u, v) =>
        clamp01(0.5 * (v / 32) + 0.7 * smoothstep(cover, cover + 0.25, fractalNoise(u / 9, v / 6, seed, 3)));
    },
  },
  sand: {
    ramp: [
      [0.66, 0.54, 0.37],
      [0.8, 0.68, 0.49],
      [0.9, 0.81, 0.64],
    ],
    create: (random) => {
      const seed = seedOf(random);
      return (u, v) => {
        const ripple = fract(v / 5 + 1.2 * valueNoise(u / 9, v / 9, seed));
        return 0.55 * Math.abs(2 * ripple - 1) + 0.45 * valueNoise(u * 1.5, v * 1.5, seed + 1);
      };
    },
  },
  concrete: {
    ramp: [
      [0.48, 0.48, 0.46],
      [0.63, 0.62, 0.6],
      [0.75, 0.74, 0.71],
    ],
    create: (random) => {
      const seed = seedOf(random);
      const slab = random.uniform(14, 24);
      return (u, v) =>
        fract(u / slab) * slab < 0.9 || fract(v / slab) * slab < 0.9 ? 0 : fractalNoise(u / 5, v / 5, seed, 3);
    },
  },
  plasma: {
    ramp: [
      [0.2, 0.08, 0.42],
      [0.78, 0.16, 0.46],
      [0.98, 0.62, 0.2],
      [0.25, 0.75, 0.72],
      [0.15, 0.25, 0.6],
    ],
    create: (random) => {
      const seed = seedOf(random);
      return (u, v) => smoothstep(0.15, 0.85, fractalNoise(u / 10, v / 10, seed, 3));
    },
  },
  checker: {
    ramp: [
      [0.14, 0.15, 0.2],
      [0.9, 0.88, 0.82],
    ],
    create: (random) => {
      const cell = random.uniform(4, 8);
      return (u, v) => ((Math.floor(u / cell) + Math.floor(v / cell)) & 1 ? 0.75 : 0.25);
    },
  },
  stripes: {
    ramp: [
      [0.74, 0.34, 0.32],
      [0.86, 0.83, 0.77],
      [0.34, 0.46, 0.62],
    ],
    create: (random) => {
      const width = random.uniform(3, 6);
      return (u) => [0, 0.5, 1, 0.5][Math.floor(u / width) & 3]!;
    },
  },
  pebbles: {
    ramp: [
      [0.16, 0.15, 0.14],
      [0.45, 0.4, 0.36],
      [0.66, 0.62, 0.58],
      [0.86, 0.82, 0.76],
    ],
    create: (random) => {
      const seed = seedOf(random);
      return (u, v) => {
        const { distance, id } = nearestCell(u / 5, v / 5, seed);
        return (1 - smoothstep(0.35, 0.62, distance)) * (0.35 + 0.6 * id);
      };
    },
  },
  leaves: {
    ramp: [
      [0.2, 0.1, 0.05],
      [0.62, 0.25, 0.08],
      [0.88, 0.55, 0.12],
      [0.55, 0.6, 0.15],
    ],
    create: (random) => {
      const seed = seedOf(random);
      return (u, v) => {
        const { distance, id } = nearestCell(u / 4, v / 4, seed);
        return clamp01(id - 0.5 * smoothstep(0.3, 0.7, distance));
      };
    },
  },
} as const satisfies Record<string, Background>;

export type BackgroundName = keyof typeof BACKGROUNDS;

/** Fills the field with a fresh piece of a background: other place, turn, zoom, brightness and cast each time. */
export function paintBackground(field: Field, name: BackgroundName, random: Random): void {
  const { ramp, create, upright }: Background = BACKGROUNDS[name];
  const angle = upright ? 0 : random.uniform(-0.6, 0.6);
  const zoom = random.uniform(0.85, 1.2);
  const [cos, sin] = [Math.cos(angle) * zoom, Math.sin(angle) * zoom];
  const brightness = random.uniform(0.85, 1.15);
  const cast: Rgb = [random.uniform(0.94, 1.06), random.uniform(0.94, 1.06), random.uniform(0.94, 1.06)];
  const colours = colourTable(ramp, cast, brightness);
  const tone = create(random);
  eachPixel(field, (u, v, at) => {
    const from = 3 * Math.round(clamp01(tone(u * cos - v * sin, u * sin + v * cos)) * (TONES - 1));
    field.data[at] = colours[from]!;
    field.data[at + 1] = colours[from + 1]!;
    field.data[at + 2] = colours[from + 2]!;
  });
}

const TONES = 128;

/** The ramp at evenly spaced tones, RGB after RGB. */
function colourTable(ramp: readonly Rgb[], cast: Rgb, brightness: number): Float32Array {
  const table = new Float32Array(3 * TONES);
  for (let tone = 0; tone < TONES; tone++) {
    const place = (tone / (TONES - 1)) * (ramp.length - 1);
    const stop = Math.min(Math.floor(place), ramp.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const colour = mix(ramp[stop]![channel]!, ramp[stop + 1]![channel]!, place - stop);
      table[3 * tone + channel] = colour * cast[channel]! * brightness;
    }
  }
  return table;
}
