import { createField, luma, mapPixels, mapValues, quantize } from "./field.js";
import { motion } from "./filter.js";
import { frostTexture, plasma } from "./texture.js";
import { corruption } from "./types.js";
import { zoom } from "./warp.js";

/** Flakes, streaked by the wind, over a whitened image. */
export const snow = corruption<
  [mean: number, deviation: number, zoom: number, threshold: number, radius: number, streak: number, kept: number]
>({
  set: "reported",
  parameters: {
    cifar: [
      [0.1, 0.2, 1, 0.6, 8, 3, 0.95],
      [0.1, 0.2, 1, 0.5, 10, 4, 0.9],
      [0.15, 0.3, 1.75, 0.55, 10, 4, 0.9],
      [0.25, 0.3, 2.25, 0.6, 12, 6, 0.85],
      [0.3, 0.3, 1.25, 0.65, 14, 12, 0.8],
    ],
    imagenet: [
      [0.1, 0.3, 3, 0.5, 10, 4, 0.8],
      [0.2, 0.3, 2, 0.5, 12, 4, 0.7],
      [0.55, 0.3, 4, 0.9, 12, 8, 0.7],
      [0.55, 0.3, 4.5, 0.85, 12, 8, 0.65],
      [0.55, 0.3, 2.5, 0.85, 12, 12, 0.55],
    ],
  },
  apply(image, [mean, deviation, factor, threshold, radius, streak, kept], random) {
    const noise = mapValues(createField(image.width, image.height, 1), () => random.normal(mean, deviation));
    const flakes = mapValues(zoom(noise, factor), (value) => (value < threshold ? 0 : value));
    const { data: layer } = motion(quantize(flakes, Math.floor), radius, streak, random.uniform(-135, -45));
    return mapPixels(image, (red, green, blue, pixel) => {
      const white = luma(red, green, blue) * 1.5 + 0.5;
      // The layer and itself turned by half a turn: streaks in both directions of the wind.
      const fallen = layer[pixel]! + layer[layer.length - 1 - pixel]!;
      return [red, green, blue].map((value) => kept * value + (1 - kept) * Math.max(value, white) + fallen);
    });
  },
});

/**
 * Ice crystals on the lens.
 * Differs: the originals blend crops of five photographs (the sixth is never drawn), which we may not ship. Ours are procedural, with the
 * tint, mean, spread and grain of those five as measured in the published CIFAR-10-C.
 */
export const frost = corruption<[kept: number, ice: number, scale: number]>({
  set: "reported",
  parameters: {
    cifar: [
      [1, 0.2, 0.2],
      [1, 0.3, 0.2],
      [0.9, 0.4, 0.2],
      [0.85, 0.4, 0.2],
      [0.75, 0.45, 0.2],
    ],
    imagenet: [
      [1, 0.4, 1],
      [0.8, 0.6, 1],
      [0.7, 0.7, 1],
      [0.65, 0.7, 1],
      [0.6, 0.75, 1],
    ],
  },
  apply(image, [kept, ice, scale], random) {
    const { data: texture } = frostTexture(image.width, image.height, image.channels, scale, random);
    return mapValues(image, (value, at) => kept * value + ice * texture[at]!);
  },
});

/** Fog of uneven density, darkened back to the brightest value of the image. */
export const fog = corruption<[density: number, decay: number]>({
  set: "reported",
  parameters: {
    cifar: [
      [0.2, 3],
      [0.5, 3],
      [0.75, 2.5],
      [1, 2],
      [1.5, 1.75],
    ],
    imagenet: [
      [1.5, 2],
      [2, 2],
      [2.5, 1.7],
      [2.5, 1.5],
      [3, 1.4],
    ],
  },
  apply(image, [density, decay], random) {
    const side = 2 ** Math.ceil(Math.log2(Math.max(image.width, image.height)));
    const cloud = plasma(side, decay, random);
    const brightest = image.data.reduce((a, b) => Math.max(a, b));
    return mapPixels(image, (red, green, blue, pixel) => {
      const mist = density * cloud[Math.floor(pixel / image.width) * side + (pixel % image.width)]!;
      return [red, green, blue].map((value) => ((value + mist) * brightest) / (brightest + density));
    });
  },
});
