import { type FloatTensor, invariant, type Random } from "../base/index.js";
import { mapHsv } from "./corrupt/digital.js";
import { clip, createField, type Field, mapPixels, mapValues } from "./corrupt/field.js";
import { correlateSeparable, gaussianWeights } from "./corrupt/filter.js";
import { type Mapping, warp } from "./corrupt/warp.js";
import { channelsOf, type Preprocessing } from "./preprocess/preprocessing.js";
import { writePixels } from "./preprocess/write-pixels.js";

/** What a view does to an image, in this order. Units: factors, unless said. */
export interface View {
  readonly colours: readonly ColourChange[];
  /** Units: degrees clockwise, pixels right and down, and a magnification. Absent: everything stays in its place. */
  readonly placement?: {
    readonly degrees: number;
    readonly dx: number;
    readonly dy: number;
    readonly scale: number;
    readonly mirrored: boolean;
  };
  /** Deviation of a blur over 5 × 5 pixels. Units: pixels. */
  readonly blur: number;
  /** Deviation of the noise that is added to levels of 0 to 1. */
  readonly noise: number;
}

/** `hue` in turns; the others as factors, `gamma` as the power. */
export interface ColourChange {
  readonly kind: "brightness" | "contrast" | "saturation" | "hue" | "gamma";
  readonly amount: number;
}

export interface ViewOptions {
  /** Turn, shift, scale and mirror too (default). Not where the model answers place by place. */
  readonly placement?: boolean;
  /** Half of the strength. */
  readonly soft?: boolean;
}

const RANGES = {
  brightness: [0.6, 1.4],
  contrast: [0.7, 1.3],
  saturation: [0.5, 1.5],
  hue: [-0.06, 0.06],
  gamma: [0.7, 1.3],
} as const satisfies Readonly<Record<ColourChange["kind"], readonly [number, number]>>;

/**
 * Draws a view: colours changed in random order, a small turn, shift and magnification, a faint blur, perhaps mirrored, faint noise.
 * Source: the test-time augmentation of CoTTA and RoTTA, from KATANA, arXiv:2109.08191.
 */
export function drawView(
  { width, height }: Pick<Preprocessing, "width" | "height">,
  random: Random,
  { placement = true, soft = false }: ViewOptions = {},
): View {
  const strength = soft ? 0.5 : 1;
  const around = (centre: number, reach: number): number => random.uniform(centre - reach, centre + reach);
  const kinds = random.shuffled(Object.keys(RANGES) as ColourChange["kind"][]);
  const colours = kinds.map((kind) => {
    const [low, high] = RANGES[kind];
    return { kind, amount: around((low + high) / 2, ((high - low) / 2) * strength) };
  });
  return {
    colours,
    ...(placement && {
      placement: {
        degrees: around(0, 15 * strength),
        dx: Math.round(around(0, width / 8)),
        dy: Math.round(around(0, height / 8)),
        scale: around(1, 0.1 * strength),
        mirrored: random.next() < 0.5,
      },
    }),
    blur: random.uniform(0.001, 0.5 * strength),
    noise: 0.005,
  };
}

/** The weights of torchvision's grey. */
const greyOf = (red: number, green: number, blue: number): number => 0.2989 * red + 0.587 * green + 0.114 * blue;

/** One view of every image of a preprocessed batch, a new array; only the noise differs from image to image. Shapes: as given. */
export function applyView(images: FloatTensor, preprocessing: Preprocessing, view: View, random: Random): FloatTensor {
  const { width, height } = preprocessing;
  const size = width * height * channelsOf(preprocessing);
  const data = images.data.slice();
  invariant(data.length === images.dims[0]! * size, "images of the size of the preprocessing");
  for (let image = 0; image < images.dims[0]!; image++) {
    const field = readPixels(images.data, image * size, preprocessing);
    const noisy = mapValues(changeField(field, view), (value) => clip(value + view.noise * random.normal()) * 255);
    writePixels(noisy, preprocessing, data, image * size);
  }
  return { ...images, data };
}

/** The image without its noise, levels cut off at 0 and 1 where a colour changes. */
export function changeField(field: Field, { colours, placement, blur }: View): Field {
  const coloured = colours.reduce((image, change) => changeColour(image, change), mapValues(field, clip));
  // Beyond the border the image goes on for as far as the blur sees.
  const margin = 2;
  const [width, height] = [field.width + 2 * margin, field.height + 2 * margin];
  const placed = warp(coloured, width, height, mappingOf(field, placement, margin), "nearest");
  const blurred = correlateSeparable(placed, gaussianWeights(blur, margin), "nearest");
  return cut(blurred, margin, field, placement?.mirrored ?? false);
}

function changeColour(image: Field, { kind, amount }: ColourChange): Field {
  // A one-channel image has no colour.
  if (image.channels === 1 && (kind === "saturation" || kind === "hue")) return image;
  switch (kind) {
    case "brightness":
      return mapValues(image, (value) => clip(value * amount));
    case "contrast": {
      let sum = 0;
      mapPixels(image, (...rgb) => ((sum += greyOf(rgb[0], rgb[1], rgb[2])), rgb));
      const mean = sum / (image.width * image.height);
      return mapValues(image, (value) => clip(amount * value + (1 - amount) * mean));
    }
    case "saturation":
      return mapPixels(image, (...[red, green, blue]) => {
        const grey = greyOf(red, green, blue);
        return [red, green, blue].map((value) => clip(amount * value + (1 - amount) * grey));
      });
    case "hue":
      return mapHsv(image, ([hue, saturation, value]) => [(hue + amount + 1) % 1, saturation, value]);
    case "gamma":
      return mapValues(image, (value) => Math.max(value, 1e-8) ** amount);
  }
}

/** Where each pixel of the result, which has a margin around it, comes from. */
function mappingOf({ width, height }: Field, placement: View["placement"], margin: number): Mapping {
  const { degrees, dx, dy, scale } = placement ?? { degrees: 0, dx: 0, dy: 0, scale: 1 };
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle) / scale, Math.sin(angle) / scale];
  const [centreX, centreY] = [(width - 1) / 2, (height - 1) / 2];
  return (x, y, position) => {
    const [fromX, fromY] = [x - margin - centreX - dx, y - margin - centreY - dy];
    position[0] = centreX + cos * fromX + sin * fromY;
    position[1] = centreY - sin * fromX + cos * fromY;
  };
}

function cut(field: Field, margin: number, { width, height, channels }: Field, mirrored: boolean): Field {
  const result = createField(width, height, channels);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += channels) {
      const column = margin + (mirrored ? width - 1 - x : x);
      const from = ((y + margin) * field.width + column) * channels;
      for (let c = 0; c < channels; c++) result.data[to + c] = field.data[from + c]!;
    }
  }
  return result;
}

/** Undoes `writePixels`: what a model is given, as levels from 0 to 1 of red, green and blue. */
function readPixels(data: ArrayLike<number>, offset: number, preprocessing: Preprocessing): Field {
  const { width, height, layout, color, scale, mean, std } = preprocessing;
  const channels = channelsOf(preprocessing);
  const area = width * height;
  const [pixelStep, channelStep] = layout === "NCHW" ? [1, area] : [channels, 1];
  const field = createField(width, height, channels);
  for (let c = 0; c < channels; c++) {
    const to = color === "BGR" ? 2 - c : c;
    const [centre, deviation] = [mean[c] ?? mean[0]!, std[c] ?? std[0]!];
    for (let pixel = 0; pixel < area; pixel++) {
      const value = data[offset + c * channelStep + pixel * pixelStep]!;
      field.data[pixel * channels + to] = (value * deviation + centre) / (scale * 255);
    }
  }
  return field;
}
