import { borderIndex, createField, mapValues, type Border, type Field } from "./field.js";

/** Writes the source position of output pixel (x, y) into `position` as [x, y]. */
export type Mapping = (x: number, y: number, position: Float64Array) => void;

/** Resamples with linear interpolation at the positions that `mapping` gives. */
export function warp(field: Field, width: number, height: number, mapping: Mapping, border: Border): Field {
  const { channels, data } = field;
  const result = createField(width, height, channels);
  const position = new Float64Array(2);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += channels) {
      mapping(x, y, position);
      const [left, top] = [Math.floor(position[0]!), Math.floor(position[1]!)];
      const [fx, fy] = [position[0]! - left, position[1]! - top];
      const [x0, x1] = [borderIndex(left, field.width, border), borderIndex(left + 1, field.width, border)];
      const [y0, y1] = [borderIndex(top, field.height, border), borderIndex(top + 1, field.height, border)];
      const index = (column: number, row: number): number => (row * field.width + column) * channels;
      const [upLeft, upRight, downLeft, downRight] = [index(x0, y0), index(x1, y0), index(x0, y1), index(x1, y1)];
      for (let c = 0; c < channels; c++) {
        const upper = data[upLeft + c]! * (1 - fx) + data[upRight + c]! * fx;
        const lower = data[downLeft + c]! * (1 - fx) + data[downRight + c]! * fx;
        result.data[to + c] = upper * (1 - fy) + lower * fy;
      }
    }
  }
  return result;
}

/** Python's `round`: halves go to the even neighbour. */
const roundHalfEven = (value: number): number => (value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

/** Where a centred zoom takes one axis from: crop `ceil(length / factor)`, stretch corner to corner, trim to `length`. */
function zoomAxis(length: number, factor: number): { offset: number; step: number } {
  const crop = Math.ceil(length / factor);
  const stretched = roundHalfEven(crop * factor);
  const step = stretched > 1 ? (crop - 1) / (stretched - 1) : 0;
  return { offset: Math.floor((length - crop) / 2) + Math.floor((stretched - length) / 2) * step, step };
}

/** Magnifies around the centre at the same size. Source: `clipped_zoom` of the published generators, scipy.ndimage.zoom of order 1. */
export function zoom(field: Field, factor: number): Field {
  const [column, row] = [zoomAxis(field.width, factor), zoomAxis(field.height, factor)];
  const mapping: Mapping = (x, y, position) => {
    position[0] = column.offset + x * column.step;
    position[1] = row.offset + y * row.step;
  };
  return warp(field, field.width, field.height, mapping, "nearest");
}

/** Resizes one axis: each output level is the rounded mean of the source pixels whose centres it covers. */
function boxAxis(field: Field, size: number, axis: "x" | "y"): Field {
  const { width, height, channels, data } = field;
  const length = axis === "x" ? width : height;
  const result = axis === "x" ? createField(size, height, channels) : createField(width, size, channels);
  const scale = length / size;
  const half = 0.5 * Math.max(scale, 1);
  for (let i = 0; i < size; i++) {
    const centre = (i + 0.5) * scale;
    const covered: number[] = [];
    for (let j = Math.max(0, Math.floor(centre - half)); j < Math.min(length, Math.ceil(centre + half)); j++) {
      const offset = j + 0.5 - centre;
      if (offset > -half && offset <= half) covered.push(j);
    }
    for (let other = 0; other < (axis === "x" ? height : width); other++) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (const j of covered) sum += data[(axis === "x" ? other * width + j : j * width + other) * channels + c]!;
        result.data[(axis === "x" ? other * size + i : i * width + other) * channels + c] = Math.round(
          sum / covered.length,
        );
      }
    }
  }
  return result;
}

/** Resizes with a box filter, rounding to whole levels after each axis. Source: Pillow, `Image.resize(..., BOX)`. */
export function resizeBox(field: Field, width: number, height: number): Field {
  const levels = mapValues(field, (value) => Math.round(value * 255));
  return mapValues(boxAxis(boxAxis(levels, width, "x"), height, "y"), (level) => level / 255);
}

export type Point = readonly [x: number, y: number];
export type Triangle = readonly [Point, Point, Point];

/** The affine map, as a mapping, that sends each corner of `from` to the same corner of `to`. */
export function affineMapping(from: Triangle, to: Triangle): Mapping {
  const [[ax, ay], [bx, by], [cx, cy]] = from;
  const [a, b, c] = to;
  const determinant = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
  return (x, y, position) => {
    // The barycentric coordinates of (x, y) in `from` are those of its image in `to`.
    const u = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / determinant;
    const v = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / determinant;
    position[0] = a[0] + u * (b[0] - a[0]) + v * (c[0] - a[0]);
    position[1] = a[1] + u * (b[1] - a[1]) + v * (c[1] - a[1]);
  };
}
