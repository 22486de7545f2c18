import { invariant, LimberError } from "../../base/index.js";
import { IGNORED, type Mask, type Truth, type TruthBox } from "../data/truth.js";
import { resizeImage, type ResizeWindow } from "../image/resize.js";
import type { Image, PixelData, Reading } from "../image/types.js";
import type { Preprocessing } from "./preprocessing.js";
import { resizeMask } from "./resize-mask.js";
import { findWindow, type Size } from "./window.js";

/**
 * Brings an image to the size of the model's input; one with NaN or infinity in it counts as unreadable. One that already has the
 * size is passed through untouched, without a copy.
 */
export async function fitImage(image: Image<PixelData>, preprocessing: Preprocessing): Promise<Reading> {
  const { width, height, interpolation } = preprocessing;
  if (!isFinite(image.data)) return { unreadable: "non-finite" };
  if (image.width === width && image.height === height) return { image };
  const window = findWindow(image, preprocessing);
  if (window === undefined) {
    return { unreadable: `${image.width}x${image.height} pixels, ${width}x${height} expected and resizing is off` };
  }
  return { image: await resizeImage(image, window, interpolation) };
}

/**
 * Moves what a picture shows into the frame of the model's input, as `fitImage` moves its pixels: boxes are scaled and cut at the
 * border, and left out where nothing stays; masks take the nearest pixel. `image` is the size before. Throws: `data.invalid`.
 */
export function fitTruth({ boxes, mask }: Truth, image: Size, preprocessing: Preprocessing): Truth {
  const window = findWindow(image, preprocessing);
  invariant(window, "truth is fitted where the image is");
  return {
    ...(boxes && { boxes: boxes.flatMap((box) => fitBox(box, image, window)) }),
    ...(mask && { mask: fitMask(mask, image, window) }),
  };
}

/**
 * The way back: what a model found in the frame of its input, in the pixels of an image of that size. A mask may be smaller than the frame;
 * pixels that the frame does not show belong to no class.
 */
export function unfitTruth({ boxes, mask }: Truth, image: Size, preprocessing: Preprocessing): Truth {
  const window = findWindow(image, preprocessing);
  invariant(window, "truth is moved back where the image was fitted");
  const { scaledWidth, scaledHeight, left, top } = window;
  const column = (x: number): number => ((x + left) * image.width) / scaledWidth;
  const row = (y: number): number => ((y + top) * image.height) / scaledHeight;
  return {
    ...(boxes && {
      boxes: boxes.map((box) => {
        const [x0, y0, x1, y1] = box.corners;
        return { ...box, corners: [column(x0), row(y0), column(x1), row(y1)] as const };
      }),
    }),
    ...(mask && { mask: unfitMask(mask, image, window) }),
  };
}

function unfitMask(
  mask: Mask,
  image: Size,
  { scaledWidth, scaledHeight, left, top, width, height }: ResizeWindow,
): Mask {
  const placesOf = (side: number, scaled: number, start: number, shown: number, places: number): number[] =>
    Array.from({ length: side }, (_, at) => Math.floor(((((at + 0.5) * scaled) / side - start) * places) / shown));
  const columns = placesOf(image.width, scaledWidth, left, width, mask.width);
  const rows = placesOf(image.height, scaledHeight, top, height, mask.height);
  const data = Uint8Array.from({ length: image.width * image.height }, (_, at) => {
    const [x, y] = [columns[at % image.width]!, rows[Math.floor(at / image.width)]!];
    const isShown = x >= 0 && y >= 0 && x < mask.width && y < mask.height;
    return isShown ? mask.data[y * mask.width + x]! : IGNORED;
  });
  return { width: image.width, height: image.height, data };
}

function fitBox(box: TruthBox, image: Size, { scaledWidth, scaledHeight, left, top, width, height }: ResizeWindow) {
  const column = (x: number): number => Math.min(width, Math.max(0, (x * scaledWidth) / image.width - left));
  const row = (y: number): number => Math.min(height, Math.max(0, (y * scaledHeight) / image.height - top));
  const [x0, y0, x1, y1] = box.corners;
  const corners = [column(x0), row(y0), column(x1), row(y1)] as const;
  return corners[0] < corners[2] && corners[1] < corners[3] ? [{ ...box, corners }] : [];
}

function fitMask(mask: Mask, image: Size, window: ResizeWindow): Mask {
  if (mask.width !== image.width || mask.height !== image.height) {
    const sizes = `${image.width}x${image.height} pixels, as its picture, expected, got ${mask.width}x${mask.height}`;
    throw new LimberError("data.invalid", `mask: ${sizes}; correct the label file`);
  }
  return resizeMask(mask, window);
}

const isFinite = (data: PixelData): boolean => data instanceof Uint8Array || data.every(Number.isFinite);
