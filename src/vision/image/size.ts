import { readFile } from "node:fs/promises";
import { type ImageLimits, decodeImage } from "./decode.js";
import { loadSharp } from "./sharp.js";

/** Width and height of a picture file as it is decoded, turned as EXIF says; undefined where it cannot be read. Cost: its header, but for BMP. */
export async function findImageSize(
  path: string,
  limits: ImageLimits,
): Promise<{ readonly width: number; readonly height: number } | undefined> {
  try {
    if (path.toLowerCase().endsWith(".bmp")) {
      const reading = await decodeImage(await readFile(path), limits);
      return "image" in reading ? reading.image : undefined;
    }
    const sharp = await loadSharp();
    return (await sharp(path, { limitInputPixels: limits.pixels }).metadata()).autoOrient;
  } catch {
    return undefined;
  }
}
