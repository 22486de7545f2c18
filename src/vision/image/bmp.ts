import type { Reading } from "./types.js";

/** How the header names a picture without compression: none, or channel masks that we take as BGRA. */
const UNCOMPRESSED = new Set([0, 3]);

/**
 * Reads an uncompressed BMP with 8 (palette), 24 or 32 bits per pixel as RGB; sharp's binaries have no BMP decoder.
 * Source: https://learn.microsoft.com/windows/win32/gdi/bitmap-storage.
 */
export function readBmp(bytes: Uint8Array, maximumPixels: number): Reading {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 54) return { unreadable: "truncated BMP header" };
  const pixelsAt = view.getUint32(10, true);
  const headerBytes = view.getUint32(14, true);
  const [width, signedHeight] = [view.getInt32(18, true), view.getInt32(22, true)];
  const [bits, compression] = [view.getUint16(28, true), view.getUint32(30, true)];
  const height = Math.abs(signedHeight); // negative: rows run from top to bottom
  if (headerBytes < 40 || width <= 0 || height === 0) return { unreadable: "malformed BMP header" };
  if (!UNCOMPRESSED.has(compression) || ![8, 24, 32].includes(bits)) {
    return { unreadable: `BMP with ${bits} bits per pixel and compression ${compression} is not supported` };
  }
  if (width * height > maximumPixels)
    return { unreadable: `${width}x${height} pixels, more than the limit of ${maximumPixels}` };
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  if (pixelsAt + rowBytes * height > bytes.length) return { unreadable: "truncated BMP pixels" };

  const paletteAt = 14 + headerBytes;
  if (bits === 8 && paletteAt + 1024 > bytes.length) return { unreadable: "truncated BMP palette" };
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const row = pixelsAt + rowBytes * (signedHeight < 0 ? y : height - 1 - y);
    for (let x = 0; x < width; x++, to += 3) {
      const from = bits === 8 ? paletteAt + 4 * bytes[row + x]! : row + (x * bits) / 8;
      data[to] = bytes[from + 2]!;
      data[to + 1] = bytes[from + 1]!;
      data[to + 2] = bytes[from]!;
    }
  }
  return { image: { width, height, channels: 3, data } };
}
