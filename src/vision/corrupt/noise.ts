import { mapValues } from "./field.js";
import { corruption, each } from "./types.js";

/** Additive Gaussian noise: low light, warm sensor. */
export const gaussianNoise = corruption<[deviation: number]>({
  set: "reported",
  parameters: { cifar: each(0.04, 0.06, 0.08, 0.09, 0.1), imagenet: each(0.08, 0.12, 0.18, 0.26, 0.38) },
  apply: (image, [deviation], random) => mapValues(image, (value) => value + random.normal(0, deviation)),
});

/** Poisson noise of a sensor that counts `photons` at white. */
export const shotNoise = corruption<[photons: number]>({
  set: "reported",
  parameters: { cifar: each(500, 250, 100, 75, 50), imagenet: each(60, 25, 12, 5, 3) },
  apply: (image, [photons], random) => mapValues(image, (value) => random.poisson(value * photons) / photons),
});

/** Salt and pepper, drawn for each channel on its own: bit errors. */
export const impulseNoise = corruption<[amount: number]>({
  set: "reported",
  parameters: { cifar: each(0.01, 0.02, 0.03, 0.05, 0.07), imagenet: each(0.03, 0.06, 0.09, 0.17, 0.27) },
  apply: (image, [amount], random) => mapValues(image, (value) => (random.next() < amount ? random.int(0, 2) : value)),
});

/** Noise in proportion to the signal. */
export const speckleNoise = corruption<[deviation: number]>({
  set: "held-out",
  parameters: { cifar: each(0.06, 0.1, 0.12, 0.16, 0.2), imagenet: each(0.15, 0.2, 0.35, 0.45, 0.6) },
  apply: (image, [deviation], random) => mapValues(image, (value) => value * (1 + random.normal(0, deviation))),
});
