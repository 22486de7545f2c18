import type { Image } from "../../src/vision/image/types.js";

/** Figures of a set of RGB images that a corruption changes, in levels; `figures` in `peers/corruptions.py` is the same. */
export function measure(images: readonly Image[], clean: readonly Image[]) {
  let [count, sum, squares, change, across, down, steps] = [0, 0, 0, 0, 0, 0, 0];
  const colour = [0, 0, 0];
  images.forEach(({ width, height, data }, n) => {
    for (let at = 0; at < data.length; at++) {
      const value = data[at]!;
      count++;
      sum += value;
      squares += value * value;
      change += Math.abs(value - clean[n]!.data[at]!);
      colour[at % 3]! += value;
      if (Math.floor(at / 3) % width > 0) across += Math.abs(value - data[at - 3]!);
      if (at >= width * 3) down += Math.abs(value - data[at - width * 3]!);
    }
    steps += 3 * width * (height - 1);
  });
  const mean = sum / count;
  const [red, green, blue] = colour.map((total) => (3 * total) / count) as [number, number, number];
  return {
    mean,
    deviation: Math.sqrt(squares / count - mean * mean),
    change: change / count,
    gradient: (across + down) / steps / 2,
    red,
    green,
    blue,
  };
}
