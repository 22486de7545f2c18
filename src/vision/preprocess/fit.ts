import { resizeImage, type ResizeWindow } from "../image/resize.js";
import type { Image, PixelData, Reading } from "../image/types.js";
import type { Preprocessing } from "./preprocessing.js";

/**
 * Brings an image to the size of the model's input; one with NaN or infinity in it counts as unreadable. One that already has the
 * size is passed through untouched, without a copy.
 */
export async function fitImage(image: Image<PixelData>, preprocessing: Preprocessing): Promise<Reading> {
  const { width, height, resize, interpolation } = preprocessing;
  if (!isFinite(image.data)) return { unreadable: "non-finite" };
  if (image.width === width && image.height === height) return { image };
  if (resize === "none") {
    return { unreadable: `${image.width}x${image.height} pixels, ${width}x${height} expected and resizing is off` };
  }
  const whole: ResizeWindow = { scaledWidth: width, scaledHeight: height, left: 0, top: 0, width, height };
  const window = resize === "stretch" ? whole : centreOf(image, preprocessing);
  return { image: await resizeImage(image, window, interpolation) };
}

/** The centre of the image scaled by the side that is relatively shorter; sizes round down, as torchvision's do. */
function centreOf(image: Image<PixelData>, { width, height, cropRatio }: Preprocessing): ResizeWindow {
  const byHeight = image.width * height >= image.height * width;
  const [target, side, other] = byHeight ? [height, image.height, image.width] : [width, image.width, image.height];
  const scaledSide = Math.floor(target / cropRatio);
  const scaledOther = Math.max(byHeight ? width : height, Math.floor((scaledSide * other) / side));
  const [scaledWidth, scaledHeight] = byHeight ? [scaledOther, scaledSide] : [scaledSide, scaledOther];
  const [left, top] = [Math.round((scaledWidth - width) / 2), Math.round((scaledHeight - height) / 2)];
  return { scaledWidth, scaledHeight, left, top, width, height };
}

const isFinite = (data: PixelData): boolean => data instanceof Uint8Array || data.every(Number.isFinite);
