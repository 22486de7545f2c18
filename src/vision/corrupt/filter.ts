import { borderIndex, createField, mapValues, quantize, type Border, type Field } from "./field.js";

/** One weight of a correlation kernel and where it looks. */
export interface Tap {
  readonly dx: number;
  readonly dy: number;
  readonly weight: number;
}

/** Sum of shifted, weighted copies: `out(x, y) = sum weight * in(x + dx, y + dy)`. Cost: pixels x taps. */
export function correlate(field: Field, taps: readonly Tap[], border: Border): Field {
  const { width, height, channels, data } = field;
  const result = createField(width, height, channels);
  const out = result.data;
  const stride = width * channels;
  for (const { dx, dy, weight } of taps) {
    const columns = Int32Array.from(
      { length: stride },
      (_, i) => borderIndex(Math.floor(i / channels) + dx, width, border) * channels + (i % channels),
    );
    for (let y = 0; y < height; y++) {
      const from = borderIndex(y + dy, height, border) * stride;
      const to = y * stride;
      for (let i = 0; i < stride; i++) out[to + i]! += weight * data[from + columns[i]!]!;
    }
  }
  return result;
}

const normalized = (weights: readonly number[]): number[] => {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
};

/** Samples of a Gaussian at whole offsets -radius..radius, summing to 1. */
export const gaussianWeights = (deviation: number, radius: number): number[] =>
  normalized(
    Array.from({ length: 2 * radius + 1 }, (_, i) =>
      radius === 0 ? 1 : Math.exp(-0.5 * ((i - radius) / deviation) ** 2),
    ),
  );

/** What one output position of a line reads: consecutive inputs from `first` on, the border folded into their weights. */
interface Reading {
  readonly first: number;
  readonly weights: Float64Array;
}

function readingsOf(weights: readonly number[], length: number, border: Border): Reading[] {
  const radius = (weights.length - 1) / 2;
  return Array.from({ length }, (_, i) => {
    const whole = new Float64Array(length);
    weights.forEach((weight, k) => (whole[borderIndex(i + k - radius, length, border)]! += weight));
    const first = Math.max(0, i - radius);
    return { first, weights: whole.subarray(first, i + radius + 1) };
  });
}

/** Correlates every line along one axis. Cost: pixels x the shorter of kernel and line. */
function correlateLines(field: Field, readings: readonly Reading[], step: number): Field {
  const { data } = field;
  const out = new Float64Array(data.length);
  for (let to = 0; to < data.length; to++) {
    const position = Math.floor(to / step) % readings.length;
    const { first, weights } = readings[position]!;
    let sum = 0;
    for (let k = 0, from = to + (first - position) * step; k < weights.length; k++, from += step)
      sum += weights[k]! * data[from]!;
    out[to] = sum;
  }
  return { ...field, data: out };
}

/** Correlates with the same odd number of weights along rows, then along columns. */
export function correlateSeparable(field: Field, weights: readonly number[], border: Border): Field {
  const { width, height, channels } = field;
  const across = correlateLines(field, readingsOf(weights, width, border), channels);
  return correlateLines(across, readingsOf(weights, height, border), width * channels);
}

/** Gaussian blur with the kernel cut at `truncate` deviations. Source: scipy.ndimage.gaussian_filter. */
export const gaussianBlur = (field: Field, deviation: number, border: Border = "nearest", truncate = 4): Field =>
  correlateSeparable(field, gaussianWeights(deviation, Math.floor(truncate * deviation + 0.5)), border);

/** A 3x3 mean. Source: cv2.blur. */
export const boxBlur3 = (field: Field): Field =>
  mapValues(correlateSeparable(field, [1, 1, 1], "reflect101"), (sum) => sum / 9);

/**
 * Kernel of an out-of-focus lens: a disk, softened against aliasing. In single precision like the original, because whether
 * flat areas keep their level when they are truncated hangs on the last bit of the sum.
 * Source: `disk` of the published generators.
 */
export function diskTaps(radius: number, aliasDeviation: number): Tap[] {
  const half = radius <= 8 ? 8 : radius;
  const side = 2 * half + 1;
  const [x, y] = [(at: number) => (at % side) - half, (at: number) => Math.floor(at / side) - half];
  const inside = mapValues(createField(side, side, 1), (_, at) => (x(at) ** 2 + y(at) ** 2 <= radius ** 2 ? 1 : 0));
  const area = inside.data.reduce((a, b) => a + b, 0);
  const disk = mapValues(inside, (value) => Math.fround(value / area));
  const soft = correlateSeparable(
    disk,
    gaussianWeights(aliasDeviation, radius <= 8 ? 1 : 2).map(Math.fround),
    "reflect101",
  );
  const taps = Array.from(soft.data, (weight, at) => ({ dx: x(at), dy: y(at), weight: Math.fround(weight) }));
  return taps.filter((tap) => tap.weight > 0);
}

/**
 * Blurs by a straight camera motion: half a Gaussian that trails along `angle`, each sample at the nearest pixel.
 * The result is rounded to 16 bits and then cut to 8, as ImageMagick 6 does and the published data shows.
 * Units: degrees, clockwise on the screen. Source: MotionBlurImage of ImageMagick 6.
 */
export function motion(field: Field, radius: number, deviation: number, angle: number): Field {
  const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  const length = 2 * Math.ceil(radius) + 1;
  const weights = normalized(Array.from({ length }, (_, i) => Math.exp(-0.5 * (i / deviation) ** 2)));
  const taps = weights.map((weight, i) => ({ dx: Math.ceil(i * cos - 0.5), dy: Math.ceil(i * sin - 0.5), weight }));
  return quantize(correlate(field, taps, "nearest"), (level) => Math.floor(Math.round(level * 257) / 257));
}
