import { plainBytes } from "../files.js";
import { sharpOf } from "../image/decode.js";
import { levelsOf } from "../image/levels.js";
import type { Image, PixelData, Reading } from "../image/types.js";
import type { Preprocessing } from "./preprocessing.js";

const KERNELS = { nearest: "nearest", bilinear: "linear", bicubic: "cubic", lanczos: "lanczos3" } as const;

/**
 * Brings an image to the size of the model's input; one with NaN or infinity in it counts as unreadable. One that already has it is passed through untouched, without a copy.
 * Shrinking averages over what it covers, as Pillow does and OpenCV's default does not. Floats that must be resized become bytes.
 */
export async function fitImage(image: Image<PixelData>, preprocessing: Preprocessing): Promise<Reading> {
  const { width, height, resize, cropRatio, interpolation } = preprocessing;
  if (!isFinite(image.data)) return { unreadable: "non-finite" };
  if (image.width === width && image.height === height) return { image };
  if (resize === "none")
    return { unreadable: `${image.width}x${image.height} pixels, ${width}x${height} expected and resizing is off` };

  const ratio = Math.max(width / image.width, height / image.height) / cropRatio;
  const scaled =
    resize === "stretch"
      ? { width, height }
      : { width: Math.round(image.width * ratio), height: Math.round(image.height * ratio) };
  const left = Math.round((scaled.width - width) / 2);
  const top = Math.round((scaled.height - height) / 2);
  let pipeline = sharpOf(levelsOf(image)).resize({
    ...scaled,
    fit: "fill",
    kernel: KERNELS[interpolation],
    fastShrinkOnLoad: false,
  });
  if (resize === "shortest") pipeline = pipeline.extract({ left, top, width, height });
  const data = await (image.channels === 1 ? pipeline.toColourspace("b-w") : pipeline)
    .raw({ depth: "uchar" })
    .toBuffer();
  return { image: { width, height, channels: image.channels, data: plainBytes(data) } };
}

const isFinite = (data: PixelData): boolean => data instanceof Uint8Array || data.every(Number.isFinite);
