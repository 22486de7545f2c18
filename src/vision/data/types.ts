import type { Reading } from "../image/types.js";
import type { Truth } from "./truth.js";

export type { Image, PixelData, Reading } from "../image/types.js";

/** Images of one appearance (a camera, a style, a corruption), read one by one when they are asked for. */
export interface Domain {
  readonly name: string;
  readonly samples: number;
  /** The class of a sample, an index into `Dataset.classes`; -1 where nothing is labelled. */
  label(index: number): number;
  /** Reads one image. Resolves to the reason when it cannot be read; rejects only on a defect. */
  read(index: number): Promise<Reading>;
  /** Where a sample comes from, for reports: a file path, or `file.npy[17]`. */
  pathOf(index: number): string;
  /** Boxes or a mask of a sample, in the pixels of its image. Absent: there are none. Rejects with `data.invalid` where a label file is broken. */
  truth?(index: number): Promise<Truth>;
  /** What else is known of a sample, such as `light=dusk`; a stream can weight samples by it. */
  tags?(index: number): readonly string[];
}

/** The label of every sample of a data set without labels. */
export const UNLABELLED = -1;

/** Images in one or more domains that share their classes. */
export interface Dataset {
  readonly name: string;
  /** Empty when nothing is labelled. */
  readonly classes: readonly string[];
  /** Of masks, where they know other ones than the pictures: "background" first, say. */
  readonly maskClasses?: readonly string[] | undefined;
  readonly domains: readonly Domain[];
}

/** A sample that was left out, and why. */
export interface Skipped {
  readonly domain: string;
  readonly index: number;
  readonly path: string;
  readonly reason: string;
}
