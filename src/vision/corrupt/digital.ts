import { loadSharp } from "../image/sharp.js";
import { clip, mapPixels, mapValues, toField, toImage, type Field } from "./field.js";
import { gaussianBlur } from "./filter.js";
import { corruption, each } from "./types.js";
import { affineMapping, resizeBox, warp, type Point, type Triangle } from "./warp.js";

/** Pulls every channel towards its mean. */
export const contrast = corruption<[factor: number]>({
  set: "reported",
  parameters: { cifar: each(0.75, 0.5, 0.4, 0.3, 0.15), imagenet: each(0.4, 0.3, 0.2, 0.1, 0.05) },
  apply(image, [factor]) {
    const { channels, data } = image;
    const means = Array.from({ length: channels }, () => 0);
    data.forEach((value, at) => (means[at % channels]! += (value * channels) / data.length));
    return mapValues(image, (value, at) => (value - means[at % channels]!) * factor + means[at % channels]!);
  },
});

type Hsv = readonly [hue: number, saturation: number, value: number];

/** Hue in turns. Source: skimage.color.rgb2hsv, whose later branches win ties. */
function rgbToHsv(red: number, green: number, blue: number): Hsv {
  const value = Math.max(red, green, blue);
  const spread = value - Math.min(red, green, blue);
  if (spread === 0) return [0, 0, value];
  const sixths =
    blue === value ? 4 + (red - green) / spread : green === value ? 2 + (blue - red) / spread : (green - blue) / spread;
  const turns = sixths / 6;
  return [turns < 0 ? turns + 1 : turns, spread / value, value];
}

function hsvToRgb([hue, saturation, value]: Hsv): readonly [number, number, number] {
  const sector = Math.floor(hue * 6);
  const fraction = hue * 6 - sector;
  const low = value * (1 - saturation);
  const falling = value * (1 - fraction * saturation);
  const rising = value * (1 - (1 - fraction) * saturation);
  switch (sector % 6) {
    case 0:
      return [value, rising, low];
    case 1:
      return [falling, value, low];
    case 2:
      return [low, value, rising];
    case 3:
      return [low, falling, value];
    case 4:
      return [rising, low, value];
    default:
      return [value, low, falling];
  }
}

/** A new field with every pixel changed in hue, saturation and value. */
export const mapHsv = (image: Field, change: (hsv: Hsv) => Hsv): Field =>
  mapPixels(image, (red, green, blue) => hsvToRgb(change(rgbToHsv(red, green, blue))));

/** Adds to the value of HSV. */
export const brightness = corruption<[added: number]>({
  set: "reported",
  parameters: { cifar: each(0.05, 0.1, 0.15, 0.2, 0.3), imagenet: each(0.1, 0.2, 0.3, 0.4, 0.5) },
  apply: (image, [added]) => mapHsv(image, ([hue, saturation, value]) => [hue, saturation, clip(value + added)]),
});

/** Scales and shifts the saturation of HSV; a one-channel image has none and stays. */
export const saturate = corruption<[factor: number, added: number]>({
  set: "held-out",
  parameters: {
    cifar: [
      [0.3, 0],
      [0.1, 0],
      [1.5, 0],
      [2, 0.1],
      [2.5, 0.2],
    ],
    imagenet: [
      [0.3, 0],
      [0.1, 0],
      [2, 0],
      [5, 0.1],
      [20, 0.2],
    ],
  },
  apply: (image, [factor, added]) =>
    mapHsv(image, ([hue, saturation, value]) => [hue, clip(saturation * factor + added), value]),
});

/** One round trip through a baseline JPEG file with 4:2:0 colour and the quality scale of libjpeg. */
export const jpegCompression = corruption<[quality: number]>({
  set: "reported",
  parameters: { cifar: each(80, 65, 58, 50, 40), imagenet: each(25, 18, 15, 10, 7) },
  async apply(image, [quality]) {
    const { width, height, channels, data } = toImage(image);
    const sharp = await loadSharp();
    const file = await sharp(data, { raw: { width, height, channels } })
      .jpeg({ quality, chromaSubsampling: "4:2:0" })
      .toBuffer();
    const decoded = sharp(file).toColourspace(channels === 1 ? "b-w" : "srgb");
    return toField({ width, height, channels, data: await decoded.raw().toBuffer() });
  },
});

/** Down and up again with a box filter. */
export const pixelate = corruption<[scale: number]>({
  set: "reported",
  parameters: { cifar: each(0.95, 0.9, 0.85, 0.75, 0.65), imagenet: each(0.6, 0.5, 0.4, 0.3, 0.25) },
  apply(image, [scale]) {
    const [width, height] = [
      Math.max(1, Math.trunc(image.width * scale)),
      Math.max(1, Math.trunc(image.height * scale)),
    ];
    return resizeBox(resizeBox(image, width, height), image.width, image.height);
  },
});

/**
 * A random affine map, then a random smooth displacement of every pixel.
 * Differs: the affine step interpolates exactly, where OpenCV rounds positions to 1/32 pixel.
 */
export const elasticTransform = corruption<[amplitude: number, deviation: number, cornerShift: number]>({
  set: "reported",
  parameters: {
    cifar: [
      [0, 0, 2.56],
      [1.6, 6.4, 2.24],
      [2.56, 1.92, 1.92],
      [3.2, 1.28, 1.6],
      [3.2, 0.96, 0.96],
    ],
    imagenet: [
      [488, 170.8, 24.4],
      [488, 19.52, 48.8],
      [12.2, 2.44, 4.88],
      [17.08, 2.44, 4.88],
      [29.28, 2.44, 4.88],
    ],
  },
  apply(image, [amplitude, deviation, cornerShift], random) {
    const { width, height } = image;
    const [x, y, arm] = [Math.floor(width / 2), Math.floor(height / 2), Math.floor(Math.min(width, height) / 3)];
    const corners: Triangle = [
      [x + arm, y + arm],
      [x + arm, y - arm],
      [x - arm, y - arm],
    ];
    const shifted = ([cornerX, cornerY]: Point): Point => [
      cornerX + random.uniform(-cornerShift, cornerShift),
      cornerY + random.uniform(-cornerShift, cornerShift),
    ];
    const moved: Triangle = [shifted(corners[0]), shifted(corners[1]), shifted(corners[2])];
    const tilted = warp(image, width, height, affineMapping(moved, corners), "reflect101");
    const displacement = (): Field => {
      const noise: Field = {
        width,
        height,
        channels: 1,
        data: Float64Array.from({ length: width * height }, () => random.uniform(-1, 1)),
      };
      return gaussianBlur(noise, deviation, "reflect", 3);
    };
    const [dx, dy] = [displacement().data, displacement().data];
    const bend = (column: number, row: number, position: Float64Array): void => {
      position[0] = column + amplitude * dx[row * width + column]!;
      position[1] = row + amplitude * dy[row * width + column]!;
    };
    return warp(tilted, width, height, bend, "reflect");
  },
});
