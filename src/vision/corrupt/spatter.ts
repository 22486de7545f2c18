import type { Random } from "../../base/index.js";
import { createField, mapPixels, mapValues, quantize, type Field } from "./field.js";
import { cannyEdges, distanceTo, equalize } from "./edges.js";
import { boxBlur3, correlate, gaussianBlur, type Tap } from "./filter.js";
import { corruption } from "./types.js";

const WATER = [175 / 255, 238 / 255, 238 / 255] as const;
const MUD = [63 / 255, 42 / 255, 20 / 255] as const;

/** Lights the drops from one corner. */
const EMBOSS: readonly Tap[] = [
  [-2, -1, 0],
  [-1, 1, 1],
  [0, 1, 2],
].flatMap((row, y) => row.map((weight, x) => ({ dx: x - 1, dy: y - 1, weight })));

/** Water on the lens: how much of it shines at each pixel, at most 1. */
function waterShine(liquid: Field): Float64Array {
  const drops = quantize(liquid, Math.floor);
  const distance = distanceTo(cannyEdges(drops, 50, 150), 20);
  const rim = equalize(
    quantize(
      mapValues(boxBlur3(distance), (pixels) => pixels / 255),
      Math.floor,
    ),
  );
  const lit = quantize(boxBlur3(quantize(correlate(rim, EMBOSS, "reflect101"))));
  const shine = drops.data.map((value, at) => value * lit.data[at]!);
  const brightest = shine.reduce((a, b) => Math.max(a, b));
  return shine.map((value) => value / (brightest || 1));
}

function liquidOn(
  image: Field,
  mean: number,
  deviation: number,
  softness: number,
  threshold: number,
  random: Random,
): Field {
  const noise = mapValues(createField(image.width, image.height, 1), () => random.normal(mean, deviation));
  return mapValues(gaussianBlur(noise, softness), (value) => (value < threshold ? 0 : value));
}

/** Drops on the lens: clear water at the low severities, mud at the high ones. */
export const spatter = corruption<
  [mean: number, deviation: number, softness: number, threshold: number, strength: number, muddy: number]
>({
  set: "held-out",
  parameters: {
    cifar: [
      [0.62, 0.1, 0.7, 0.7, 0.5, 0],
      [0.65, 0.1, 0.8, 0.7, 0.5, 0],
      [0.65, 0.3, 1, 0.69, 0.5, 0],
      [0.65, 0.1, 0.7, 0.69, 0.6, 1],
      [0.65, 0.1, 0.5, 0.68, 0.6, 1],
    ],
    imagenet: [
      [0.65, 0.3, 4, 0.69, 0.6, 0],
      [0.65, 0.3, 3, 0.68, 0.6, 0],
      [0.65, 0.3, 2, 0.68, 0.5, 0],
      [0.65, 0.3, 1, 0.65, 1.5, 1],
      [0.67, 0.4, 1, 0.65, 1.5, 1],
    ],
  },
  apply(image, [mean, deviation, softness, threshold, strength, muddy], random) {
    const liquid = liquidOn(image, mean, deviation, softness, threshold, random);
    if (muddy === 0) {
      const shine = waterShine(liquid);
      return mapPixels(image, (red, green, blue, pixel) =>
        [red, green, blue].map((value, c) => value + strength * shine[pixel]! * WATER[c]!),
      );
    }
    // Here `strength` is the softness of the splashes' rims, which are then cut where they are thin.
    const splash = mapValues(liquid, (value) => (value > threshold ? 1 : 0));
    const cover = mapValues(gaussianBlur(splash, strength), (value) => (value < 0.8 ? 0 : value)).data;
    return mapPixels(image, (red, green, blue, pixel) =>
      [red, green, blue].map((value, c) => value * (1 - cover[pixel]!) + MUD[c]! * cover[pixel]!),
    );
  },
});
