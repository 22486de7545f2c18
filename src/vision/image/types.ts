/** What a pixel can be stored as. Floats are grey levels, nominally 0 to 255, and may hold NaN until a batch checks them. */
export type PixelData = Uint8Array | Float32Array | Float64Array;

/**
 * A picture in memory, rows from top to bottom, channels interleaved (RGB, or one grey channel).
 * Plain `Image` holds bytes; `Image<PixelData>` is what a reader may yield.
 *
 * Shapes: data [height, width, channels].
 */
export interface Image<Data extends PixelData = Uint8Array> {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Data;
}

/** What became of an attempt to read a picture: the picture, or why there is none. One bad file never stops an epoch. */
export type Reading = { readonly image: Image<PixelData> } | { readonly unreadable: string };
