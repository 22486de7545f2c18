import type { Random } from "../../base/index.js";
import { mapValues, quantize, type Field } from "./field.js";
import { correlate, diskTaps, gaussianBlur, motion } from "./filter.js";
import { corruption, each } from "./types.js";
import { zoom } from "./warp.js";

export const gaussianBlurring = corruption<[deviation: number]>({
  set: "held-out",
  parameters: { cifar: each(0.4, 0.6, 0.7, 0.8, 1), imagenet: each(1, 2, 3, 4, 6) },
  apply: (image, [deviation]) => gaussianBlur(image, deviation),
});

/** A lens out of focus. */
export const defocusBlur = corruption<[radius: number, aliasDeviation: number]>({
  set: "reported",
  parameters: {
    cifar: [
      [0.3, 0.4],
      [0.4, 0.5],
      [0.5, 0.6],
      [1, 0.2],
      [1.5, 0.1],
    ],
    imagenet: [
      [3, 0.1],
      [4, 0.5],
      [6, 0.5],
      [8, 0.5],
      [10, 0.5],
    ],
  },
  apply: (image, [radius, aliasDeviation]) => correlate(image, diskTaps(radius, aliasDeviation), "reflect101"),
});

/**
 * Moves pixels by up to `reach`, in place and from the far corner, so that one pixel may travel on.
 * The published exchange of two array views writes one pixel into both: a copy, kept here because it is what the data shows.
 * Its offsets exclude `+reach`.
 */
function scatter(image: Field, reach: number, rounds: number, random: Random): Field {
  const { width, height, channels } = image;
  const data = image.data.slice();
  for (let round = 0; round < rounds; round++) {
    for (let y = height - reach; y > reach; y--) {
      for (let x = width - reach; x > reach; x--) {
        const from = ((y + random.int(-reach, reach)) * width + x + random.int(-reach, reach)) * channels;
        data.copyWithin((y * width + x) * channels, from, from + channels);
      }
    }
  }
  return { ...image, data };
}

/** Frosted glass: pixels scattered between two blurs. */
export const glassBlur = corruption<[deviation: number, reach: number, rounds: number]>({
  set: "reported",
  parameters: {
    cifar: [
      [0.05, 1, 1],
      [0.25, 1, 1],
      [0.4, 1, 1],
      [0.25, 1, 2],
      [0.4, 1, 2],
    ],
    imagenet: [
      [0.7, 1, 2],
      [0.9, 2, 1],
      [1, 2, 3],
      [1.1, 3, 2],
      [1.5, 4, 2],
    ],
  },
  apply: (image, [deviation, reach, rounds], random) =>
    gaussianBlur(scatter(quantize(gaussianBlur(image, deviation), Math.floor), reach, rounds, random), deviation),
});

/** A camera that moves sideways during the exposure. */
export const motionBlur = corruption<[radius: number, deviation: number]>({
  set: "reported",
  parameters: {
    cifar: [
      [6, 1],
      [6, 1.5],
      [6, 2],
      [8, 2],
      [9, 2.5],
    ],
    imagenet: [
      [10, 3],
      [15, 5],
      [15, 8],
      [15, 12],
      [20, 15],
    ],
  },
  apply: (image, [radius, deviation], random) => motion(image, radius, deviation, random.uniform(-45, 45)),
});

/** A camera that moves towards the scene: the mean of the image and its magnifications. */
export const zoomBlur = corruption<[end: number, step: number]>({
  set: "reported",
  parameters: {
    cifar: [
      [1.06, 0.01],
      [1.11, 0.01],
      [1.16, 0.01],
      [1.21, 0.01],
      [1.26, 0.01],
    ],
    imagenet: [
      [1.11, 0.01],
      [1.16, 0.01],
      [1.21, 0.02],
      [1.26, 0.02],
      [1.31, 0.03],
    ],
  },
  apply(image, [end, step]) {
    // numpy.arange(1, end, step): how many factors there are, and which, follows from its rounding.
    const count = Math.ceil((end - 1) / step);
    const views = Array.from({ length: count }, (_, i) => zoom(image, 1 + i * (1 + step - 1)));
    return mapValues(image, (value, at) => views.reduce((sum, view) => sum + view.data[at]!, value) / (count + 1));
  },
});
