import type { Random } from "../../base/index.js";
import type { Image } from "../image/types.js";
import { type Field, toField, toImage } from "./field.js";
import { corruption, each } from "./types.js";

const PUBLISHED_SIDE = 350;
const PUBLISHED_SQUARE = 3;
const SNOW_LEVEL = 210 / 255;

/**
 * PatchLine's drift: `level` opaque squares of grey 210 at uniform places. At 350 pixels they are `level` squares of 3 x 3;
 * at other sizes the squares keep their share of the side (at least one pixel) and the image keeps its covered share.
 */
export function snowSquares(image: Field, level: number, random: Random): Field {
  const { width, height, channels } = image;
  const data = image.data.slice();
  const side = Math.max(1, Math.round((PUBLISHED_SQUARE * Math.min(width, height)) / PUBLISHED_SIDE));
  const count = Math.round(level * (PUBLISHED_SQUARE / side) ** 2 * ((width * height) / PUBLISHED_SIDE ** 2));
  for (let i = 0; i < count; i++) {
    const [left, top] = [random.int(0, width - side + 1), random.int(0, height - side + 1)];
    for (let y = top; y < top + side; y++) {
      data.fill(SNOW_LEVEL, (y * width + left) * channels, (y * width + left + side) * channels);
    }
  }
  return { ...image, data };
}

/** The same on bytes. Returns a new image. */
export const snowImage = (image: Image, level: number, random: Random): Image =>
  toImage(snowSquares(toField(image), level, random));

/** The square snow of PatchLine's predictor data, whose ten levels run from 1000 to 10000. */
export const squareSnow = corruption<[level: number]>({
  set: "patchline",
  parameters: { cifar: each(2000, 4000, 6000, 8000, 10000), imagenet: each(2000, 4000, 6000, 8000, 10000) },
  apply: (image, [level], random) => snowSquares(image, level, random),
});
