import type { Image, PixelData } from "./types.js";

/** An image of bytes: itself if it is one, else its floats rounded and clamped to 0..255. */
export function levelsOf(image: Image<PixelData>): Image {
  const { data } = image;
  return { ...image, data: data instanceof Uint8Array ? data : new Uint8Array(Uint8ClampedArray.from(data).buffer) };
}
