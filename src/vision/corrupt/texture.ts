import type { Random } from "../../base/index.js";
import { clip, createField, type Field } from "./field.js";

/**
 * A cloud of heights in [0, 1] on a torus, by diamond-square; `decay` divides the roughness at each halving.
 * Source: `plasma_fractal` of the published generators. There the offsets grow with the square of `wibble`, and so here.
 */
export function plasma(side: number, decay: number, random: Random): Float64Array {
  const map = new Float64Array(side * side);
  const at = (x: number, y: number): number => map[((y + side) % side) * side + ((x + side) % side)]!;
  for (let step = side, wibble = 100; step >= 2; step /= 2, wibble /= decay) {
    const half = step / 2;
    const wobble = (mean: number): number => mean + wibble * random.uniform(-wibble, wibble);
    const eachCell = (visit: (x: number, y: number) => void): void => {
      for (let y = 0; y < side; y += step) for (let x = 0; x < side; x += step) visit(x, y);
    };
    const meanOfEdges = (x: number, y: number): number =>
      (at(x - half, y) + at(x + half, y) + at(x, y - half) + at(x, y + half)) / 4;
    const meanOfCorners = (x: number, y: number): number =>
      (at(x, y) + at(x + step, y) + at(x, y + step) + at(x + step, y + step)) / 4;
    eachCell((x, y) => (map[(y + half) * side + x + half] = wobble(meanOfCorners(x, y))));
    eachCell((x, y) => {
      map[y * side + x + half] = wobble(meanOfEdges(x + half, y));
      map[(y + half) * side + x] = wobble(meanOfEdges(x, y + half));
    });
  }
  const low = map.reduce((a, b) => Math.min(a, b));
  const high = map.reduce((a, b) => Math.max(a, b));
  return map.map((height) => (height - low) / (high - low || 1));
}

/** Smooth noise in [-1, 1]: hashed values on the whole lattice, blended in between. */
function latticeNoise(seed: number): (x: number, y: number) => number {
  const knot = (x: number, y: number): number => {
    let hash = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ seed;
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
    return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 31 - 1;
  };
  const ease = (t: number): number => t * t * (3 - 2 * t);
  return (x, y) => {
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [u, v] = [ease(x - left), ease(y - top)];
    const upper = knot(left, top) * (1 - u) + knot(left + 1, top) * u;
    const lower = knot(left, top + 1) * (1 - u) + knot(left + 1, top + 1) * u;
    return upper * (1 - v) + lower * v;
  };
}

/** Mean colour and spread, in levels, of the five frost photographs as they show in CIFAR-10-C at severity 5. */
const FROSTS = [
  { colour: [74, 147, 164], deviation: 16 },
  { colour: [98, 109, 121], deviation: 34 },
  { colour: [141, 158, 170], deviation: 26 },
  { colour: [191, 195, 203], deviation: 20 },
  { colour: [204, 209, 219], deviation: 16 },
] as const;

const NEEDLE = { length: 30, width: 3.5, directions: 3 };
const PATCH_SIZE = 45;

/**
 * Ice on a pane: needles in three directions 60 degrees apart, one direction leading in each patch, over slow changes of thickness.
 * `scale` is the size of one texture pixel in image pixels. Differs: see `frost`.
 */
export function frostTexture(width: number, height: number, channels: 1 | 3, scale: number, random: Random): Field {
  const { colour, deviation } = random.pick(FROSTS);
  const turn = random.uniform(0, Math.PI);
  const thickness = latticeNoise(random.uint32());
  const layers = Array.from({ length: NEEDLE.directions }, (_, k) => {
    const angle = turn + (k * Math.PI) / NEEDLE.directions;
    return {
      cos: Math.cos(angle),
      sin: Math.sin(angle),
      patch: latticeNoise(random.uint32()),
      needle: latticeNoise(random.uint32()),
    };
  });
  const pattern = Float64Array.from({ length: width * height }, (_, at) => {
    const [x, y] = [(at % width) / scale, Math.floor(at / width) / scale];
    let ice = 0.5 * thickness(x / PATCH_SIZE, y / PATCH_SIZE);
    for (const { cos, sin, patch, needle } of layers) {
      const cover = Math.max(0, 0.4 + patch(x / PATCH_SIZE, y / PATCH_SIZE)) ** 2;
      const crest = 1 - Math.abs(needle((cos * x + sin * y) / NEEDLE.length, (cos * y - sin * x) / NEEDLE.width));
      ice += cover * crest ** 2;
    }
    return ice;
  });
  const mean = pattern.reduce((a, b) => a + b, 0) / pattern.length;
  const spread = Math.sqrt(pattern.reduce((sum, ice) => sum + (ice - mean) ** 2, 0) / pattern.length) || 1;
  const tint = channels === 3 ? colour : [(colour[0] + colour[1] + colour[2]) / 3];
  const texture = createField(width, height, channels);
  texture.data.forEach((_, at) => {
    const ice = (pattern[Math.floor(at / channels)]! - mean) / spread;
    texture.data[at] = clip((tint[at % channels]! + deviation * ice) / 255);
  });
  return texture;
}
