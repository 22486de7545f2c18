import type { FloatTensor, Random } from "../base/index.js";

export interface AugmentOptions {
  /** Mirror every second image left to right. Not for digits or text. */
  readonly flip?: boolean;
  /** Largest shift in each direction; what moves in is the edge repeated. Units: pixels. */
  readonly shift?: number;
}

/** Shifts and mirrors each image of a batch at random; a new array. Shapes: [N, C, H, W]. */
export function augmentBatch(
  images: FloatTensor,
  { flip = false, shift = 0 }: AugmentOptions,
  random: Random,
): FloatTensor {
  if (!flip && shift === 0) return images;
  const [n, channels, height, width] = images.dims as [number, number, number, number];
  const source = images.data;
  const target = source.slice();
  const clamp = (value: number, end: number): number => Math.min(end - 1, Math.max(0, value));
  for (let image = 0; image < n; image++) {
    const [dy, dx] = [random.int(-shift, shift + 1), random.int(-shift, shift + 1)];
    const mirrored = flip && random.next() < 0.5;
    for (let plane = image * channels; plane < (image + 1) * channels; plane++) {
      for (let y = 0; y < height; y++) {
        const from = (plane * height + clamp(y + dy, height)) * width;
        const to = (plane * height + y) * width;
        for (let x = 0; x < width; x++)
          target[to + (mirrored ? width - 1 - x : x)] = source[from + clamp(x + dx, width)]!;
      }
    }
  }
  return { ...images, data: target };
}
