import { LimberError } from "../../../base/index.js";
import { isImage } from "./folders.js";
import type { Place } from "../../files.js";
import type { TruthBox } from "../truth.js";

/** More boxes than any picture has: beyond it, a label file is something else. */
const MOST_BOXES = 10_000;

/** Throws: `data.invalid`, naming the file and where in it. */
export function labelError(where: string, expected: string, got: string): LimberError {
  return new LimberError("data.invalid", `${where}: ${expected} expected, got ${got}; correct or remove it`, { where });
}

/**
 * The boxes of one picture that have an area: some data sets hold a few without. Throws: `data.invalid` for sides below zero,
 * `limit.exceeded` for too many boxes.
 */
export function checkBoxes(boxes: readonly TruthBox[], where: string): readonly TruthBox[] {
  if (boxes.length > MOST_BOXES) {
    const message = `${where}: at most ${MOST_BOXES} boxes for a picture expected, got ${boxes.length}; split it`;
    throw new LimberError("limit.exceeded", message, { where });
  }
  const turned = boxes.find(({ corners: [left, top, right, bottom] }) => !(right >= left && bottom >= top));
  if (turned)
    throw labelError(where, "right and lower edges beyond the left and upper ones", turned.corners.join(", "));
  return boxes.filter(({ corners: [left, top, right, bottom] }) => right > left && bottom > top);
}

/** The names of pictures in a folder, and the folders in it that match. */
export const picturesIn = ({ files }: Place): readonly string[] => files.filter(isImage);
export const folderIn = ({ folders }: Place, name: RegExp): string | undefined =>
  folders.find((folder) => name.test(folder));
