import type { Image } from "../image/types.js";

/** An image as real numbers, 0 black to 1 white, rows of interleaved channels. */
export interface Field {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  readonly data: Float64Array;
}

export const createField = (width: number, height: number, channels: 1 | 3): Field => ({
  width,
  height,
  channels,
  data: new Float64Array(width * height * channels),
});

export function toField(image: Image): Field {
  const field = createField(image.width, image.height, image.channels);
  for (let i = 0; i < field.data.length; i++) field.data[i] = image.data[i]! / 255;
  return field;
}

export const clip = (value: number): number => Math.min(Math.max(value, 0), 1);

/** Back to bytes. A Uint8Array truncates, as the published generators do; whole levels k/255 come back as k. */
export function toImage(field: Field): Image {
  const { width, height, channels } = field;
  const data = new Uint8Array(field.data.length);
  for (let i = 0; i < data.length; i++) data[i] = clip(field.data[i]!) * 255;
  return { width, height, channels, data };
}

/** A new field with every element replaced. */
export function mapValues(field: Field, replace: (value: number, index: number) => number): Field {
  const data = new Float64Array(field.data.length);
  for (let i = 0; i < data.length; i++) data[i] = replace(field.data[i]!, i);
  return { ...field, data };
}

/** A new field whose pixels are rewritten one by one; a grey pixel is `[v, v, v]` on the way in and its first value on the way out. */
export function mapPixels(
  field: Field,
  replace: (red: number, green: number, blue: number, pixel: number) => readonly number[],
): Field {
  const { channels, data } = field;
  const result = new Float64Array(data.length);
  for (let at = 0, pixel = 0; at < data.length; at += channels, pixel++) {
    const red = data[at]!;
    const colour = channels === 3 ? replace(red, data[at + 1]!, data[at + 2]!, pixel) : replace(red, red, red, pixel);
    for (let c = 0; c < channels; c++) result[at + c] = colour[c]!;
  }
  return { ...field, data: result };
}

/** Rounds to the 256 levels of an 8-bit image, for steps that the originals run on bytes. */
export const quantize = (field: Field, round: (level: number) => number = Math.round): Field =>
  mapValues(field, (value) => round(clip(value) * 255) / 255);

/** Luma of ITU-R BT.601. */
export const luma = (red: number, green: number, blue: number): number => 0.299 * red + 0.587 * green + 0.114 * blue;

/** How pixels continue outside: `aaa|abc|ccc`, `cba|abc|cba` or `dcb|abcd|cba`. */
export type Border = "nearest" | "reflect" | "reflect101";

/** The inside index that stands for any whole index on a line of `length`. */
export function borderIndex(index: number, length: number, border: Border): number {
  if (index >= 0 && index < length) return index;
  if (border === "nearest") return index < 0 ? 0 : length - 1;
  const period = Math.max(1, border === "reflect" ? 2 * length : 2 * length - 2);
  const phase = ((index % period) + period) % period;
  return phase < length ? phase : border === "reflect" ? period - 1 - phase : period - phase;
}
