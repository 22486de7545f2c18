import type { ResizeWindow } from "../image/resize.js";
import type { Preprocessing } from "./preprocessing.js";

/** A size in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Which part of a scaled picture the model sees; undefined where the picture would have to be resized and must not be. */
export function findWindow(image: Size, preprocessing: Preprocessing): ResizeWindow | undefined {
  const { width, height, resize } = preprocessing;
  const whole: ResizeWindow = { scaledWidth: width, scaledHeight: height, left: 0, top: 0, width, height };
  if (resize === "stretch" || (image.width === width && image.height === height)) return whole;
  return resize === "none" ? undefined : centreOf(image, preprocessing);
}

/** The centre of the image scaled by the side that is relatively shorter; sizes round down, as torchvision's do. */
function centreOf(image: Size, { width, height, cropRatio }: Preprocessing): ResizeWindow {
  const byHeight = image.width * height >= image.height * width;
  const [target, side, other] = byHeight ? [height, image.height, image.width] : [width, image.width, image.height];
  const scaledSide = Math.floor(target / cropRatio);
  const scaledOther = Math.max(byHeight ? width : height, Math.floor((scaledSide * other) / side));
  const [scaledWidth, scaledHeight] = byHeight ? [scaledOther, scaledSide] : [scaledSide, scaledOther];
  const [left, top] = [Math.round((scaledWidth - width) / 2), Math.round((scaledHeight - height) / 2)];
  return { scaledWidth, scaledHeight, left, top, width, height };
}
