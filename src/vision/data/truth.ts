/** Corners of a box, the right and lower ones just outside of it. Units: pixels from the upper left corner of the picture. */
export type Corners = readonly [left: number, top: number, right: number, bottom: number];

/** An object in a picture. */
export interface TruthBox {
  readonly label: number;
  readonly corners: Corners;
  /** Many objects under one box: what is found there is neither right nor wrong. Source: COCO's `iscrowd`. */
  readonly crowd?: boolean;
}

/** A class for each pixel. Shapes: data [height, width]. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** The value of pixels of a mask that belong to no class, or that nobody labelled. */
export const IGNORED = 255;

/** What is in a picture, beside its class. A part that is absent is not labelled; an empty list of boxes says that nothing is there. */
export interface Truth {
  readonly boxes?: readonly TruthBox[] | undefined;
  readonly mask?: Mask | undefined;
}
