import type { Size } from "../../preprocess/window.js";

/** The places of one level: row by row, `stride` pixels apart. */
export interface Level extends Size {
  readonly stride: number;
  /** Number of its first place. */
  readonly start: number;
}

/** The levels of a pyramid over a picture, each cell as wide and high as its stride; the last ones may reach beyond the edge. */
export function levelsOver(strides: readonly number[], image: Size): { levels: readonly Level[]; count: number } {
  let count = 0;
  const levels = strides.map((stride) => {
    const level = {
      stride,
      start: count,
      width: Math.ceil(image.width / stride),
      height: Math.ceil(image.height / stride),
    };
    count += level.width * level.height;
    return level;
  });
  return { levels, count };
}

/** Calls back for each place of a level with its number and its centre in pixels. */
export function eachPlace(
  { stride, start, width, height }: Level,
  visit: (place: number, x: number, y: number) => void,
): void {
  for (let row = 0, place = start; row < height; row++)
    for (let column = 0; column < width; column++, place++) visit(place, (column + 0.5) * stride, (row + 0.5) * stride);
}
