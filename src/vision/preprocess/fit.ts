import { invariant, LimberError } from "../../base/index.js";
import type { Mask, Truth, TruthBox } from "../data/truth.js";
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
