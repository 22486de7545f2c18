import type { Mask } from "../data/truth.js";
import type { ResizeWindow } from "../image/resize.js";

/** Scales a mask by its nearest pixels and cuts a window out of it, in the places where `resizeImage` takes them. */
export function resizeMask(mask: Mask, window: ResizeWindow): Mask {
  const { width, height } = window;
  const columns = nearest(mask.width, window.scaledWidth, window.left, width);
  const rows = nearest(mask.height, window.scaledHeight, window.top, height);
  const data = new Uint8Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    const start = rows[y]! * mask.width;
    for (let x = 0; x < width; x++, to++) data[to] = mask.data[start + columns[x]!]!;
  }
  return { width, height, data };
}

/** The same for all of a mask; one that has the size is passed through. */
export function scaleMask(mask: Mask, width: number, height: number): Mask {
  if (mask.width === width && mask.height === height) return mask;
  return resizeMask(mask, { scaledWidth: width, scaledHeight: height, left: 0, top: 0, width, height });
}

function nearest(size: number, scaledSize: number, start: number, count: number): Int32Array {
  const scale = size / scaledSize;
  return Int32Array.from({ length: count }, (_, i) => Math.min(Math.floor((start + i + 0.5) * scale), size - 1));
}
