import { setImmediate as nextTurn } from "node:timers/promises";
import type { Image, PixelData } from "./types.js";

export type Interpolation = "nearest" | "bilinear" | "bicubic" | "lanczos";

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Weight by distance in pixels, and the distance from which on it is 0. */
const KERNELS: Readonly<
  Record<Exclude<Interpolation, "nearest">, { readonly reach: number; weight(x: number): number }>
> = {
  bilinear: { reach: 1, weight: (x) => 1 - x },
  bicubic: { reach: 2, weight: (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2) },
  lanczos: { reach: 3, weight: (x) => sinc(x) * sinc(x / 3) },
};

/** For each output position the first input position that it takes from, and how much from that and each following one. */
type Taps = readonly { readonly first: number; readonly weights: readonly number[] }[];

/** Multiplications before other work of the event loop gets its turn, about 10 ms. */
const PRODUCTS_PER_TURN = 4_000_000;

/** Where a scaled image is looked at: all of it, or a window. */
export interface ResizeWindow {
  readonly scaledWidth: number;
  readonly scaledHeight: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/**
 * Scales an image and cuts a window out of it, first along rows, then along columns; bytes are rounded after each.
 * When it shrinks, the kernel widens, so that every pixel counts. This is Pillow's arithmetic, which torchvision's models were trained
 * with; libvips places pixels elsewhere when it enlarges, and a model notices.
 * Source: https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c.
 * Differs: rows always come first; Pillow 13 takes columns first in some cases, which changes levels where a kernel overshoots.
 */
export async function resizeImage(
  image: Image<PixelData>,
  window: ResizeWindow,
  interpolation: Interpolation,
): Promise<Image<PixelData>> {
  const { data, channels } = image;
  const { width, height } = window;
  const columns = tapsOf(image.width, window.scaledWidth, window.left, width, interpolation);
  const rows = tapsOf(image.height, window.scaledHeight, window.top, height, interpolation);
  const createData = (pixels: number): PixelData =>
    new (data instanceof Uint8Array ? Uint8Array : Float64Array)(pixels * channels);
  const [wide, narrow] = [image.width * channels, width * channels];

  const between = createData(width * image.height);
  await weigh(
    data,
    between,
    columns,
    channels,
    { count: image.height, from: wide, to: narrow },
    { from: channels, to: channels },
  );
  const result = createData(width * height);
  await weigh(
    between,
    result,
    rows,
    channels,
    { count: width, from: channels, to: channels },
    { from: narrow, to: narrow },
  );
  return { width, height, channels, data: result };
}

function tapsOf(size: number, scaledSize: number, start: number, count: number, interpolation: Interpolation): Taps {
  const scale = size / scaledSize;
  return Array.from({ length: count }, (_, i) => {
    const center = (start + i + 0.5) * scale;
    if (interpolation === "nearest") return { first: Math.min(Math.floor(center), size - 1), weights: [1] };
    const { reach, weight } = KERNELS[interpolation];
    const stretch = Math.max(scale, 1);
    const first = Math.max(0, Math.trunc(center - reach * stretch + 0.5));
    const end = Math.min(size, Math.trunc(center + reach * stretch + 0.5));
    const distances = Array.from({ length: end - first }, (_, k) => Math.abs(first + k - center + 0.5) / stretch);
    const weights = distances.map((distance) => (distance < reach ? weight(distance) : 0));
    const sum = weights.reduce((all, each) => all + each, 0);
    return { first, weights: weights.map((each) => each / sum) };
  });
}

/** Takes weighted sums along each of `lines`; steps are in elements. */
async function weigh(
  from: PixelData,
  to: PixelData,
  taps: Taps,
  channels: number,
  lines: { readonly count: number; readonly from: number; readonly to: number },
  step: { readonly from: number; readonly to: number },
): Promise<void> {
  const bytes = to instanceof Uint8Array;
  const productsPerLine = channels * taps.reduce((sum, { weights }) => sum + weights.length, 0);
  for (let line = 0, products = 0; line < lines.count; line++) {
    for (let o = 0; o < taps.length; o++) {
      const { first, weights } = taps[o]!;
      for (let c = 0; c < channels; c++) {
        let at = line * lines.from + first * step.from + c;
        let sum = 0;
        for (let k = 0; k < weights.length; k++, at += step.from) sum += weights[k]! * from[at]!;
        to[line * lines.to + o * step.to + c] = bytes ? Math.min(255, Math.max(0, Math.floor(sum + 0.5))) : sum;
      }
    }
    products += productsPerLine;
    if (products >= PRODUCTS_PER_TURN) {
      products = 0;
      await nextTurn();
    }
  }
}
