import { readFile, stat } from "node:fs/promises";
import type { Sharp } from "sharp";
import { plainBytes } from "../files.js";
import { readBmp } from "./bmp.js";
import { loadSharp } from "./sharp.js";
import type { Image, Reading } from "./types.js";

/** What a picture file may ask for before it is refused. */
export interface ImageLimits {
  readonly fileBytes: number;
  readonly pixels: number;
}

export const IMAGE_LIMITS: ImageLimits = { fileBytes: 256 * 2 ** 20, pixels: 2 ** 28 };

/** Endings of files that count as pictures when a folder is read. */
export const IMAGE_EXTENSIONS: readonly string[] = [
  ...[".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"],
];

/** First bytes of the formats above, in latin1. What a file is decides, not how it is named: no SVG, PDF or RAW decoder ever runs. */
const SIGNATURES = [
  /^\xff\xd8\xff/,
  /^\x89PNG\r\n\x1a\n/,
  /^RIFF[^]{4}WEBP/,
  /^GIF8[79]a/,
  /^(II\*\0|MM\0\*)/,
  /^[^]{4}ftypavi[fs]/,
];

const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!.trim() || "unknown failure";

/** Reads a picture file as upright RGB; a file that cannot be read is a reason, not an exception. */
export async function decodeFile(path: string, limits: ImageLimits = IMAGE_LIMITS): Promise<Reading> {
  try {
    const { size } = await stat(path);
    if (size > limits.fileBytes) return { unreadable: `${size} bytes, more than the limit of ${limits.fileBytes}` };
    return await decodeImage(await readFile(path), limits);
  } catch (error) {
    return { unreadable: reasonOf(error) };
  }
}

/**
 * Decodes JPEG, PNG, WebP, BMP, GIF (first frame), TIFF or AVIF bytes to RGB with 8 bits, turned as EXIF says, alpha dropped.
 * Grey files become RGB too: the luma of equal channels is exact, so nothing is lost.
 */
export async function decodeImage(bytes: Uint8Array, limits: ImageLimits = IMAGE_LIMITS): Promise<Reading> {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16)).toString("latin1");
  if (head.startsWith("BM")) return readBmp(bytes, limits.pixels);
  if (!SIGNATURES.some((signature) => signature.test(head))) {
    return { unreadable: "not a JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF file" };
  }
  try {
    const sharp = await loadSharp();
    const { data, info } = await sharp(bytes, {
      failOn: "error",
      limitInputPixels: limits.pixels,
      sequentialRead: true,
    })
      .autoOrient()
      .toColourspace("srgb")
      .removeAlpha()
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return { image: { width: info.width, height: info.height, channels: 3, data: plainBytes(data) } };
  } catch (error) {
    return { unreadable: reasonOf(error) };
  }
}

/** A sharp pipeline over an image in memory. */
const sharpOf = async (image: Image): Promise<Sharp> => {
  const { width, height, channels, data } = image;
  const sharp = await loadSharp();
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false });
};

/** Encodes an image as PNG (lossless), or as JPEG with libjpeg's quality scale and 4:2:0 chroma. */
export async function encodeImage(image: Image, format: "png" | "jpeg" = "png", quality = 90): Promise<Uint8Array> {
  const picture = await sharpOf(image);
  const pipeline = image.channels === 1 ? picture.toColourspace("b-w") : picture;
  return plainBytes(await (format === "png" ? pipeline.png() : pipeline.jpeg({ quality })).toBuffer());
}
