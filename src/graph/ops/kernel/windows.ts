import { sizeOf } from "../../../base/index.js";
import type { WindowGeometry } from "../geometry.js";
import { stridesOf } from "./support.js";

/**
 * Where a sliding window touches an image: runs of window positions that lie inside of the image under one tap of the kernel.
 * Made once per call and shared by all images and channels.
 */
export interface WindowPlan {
  /** Quadruples: tap, first position, first pixel, number of positions; taps in row-major order for each position. */
  readonly runs: Int32Array;
  /** Pixels between neighbouring positions of a run. */
  readonly step: number;
  readonly taps: number;
  readonly positions: number;
  readonly pixels: number;
  /** True when the columns are the image itself. */
  readonly identity: boolean;
}

type Window = Pick<WindowGeometry, "kernel" | "strides" | "dilations" | "padsBegin" | "padsEnd">;

/** Shapes: image and positions are spatial sizes, one entry per axis. */
export function planWindows(window: Window, image: readonly number[], positions: readonly number[]): WindowPlan {
  const { kernel, strides, dilations, padsBegin, padsEnd } = window;
  const [tapStrides, positionStrides, pixelStrides] = [kernel, positions, image].map(stridesOf) as [
    number[],
    number[],
    number[],
  ];
  const runs: number[] = [];
  const visit = (axis: number, tap: number, position: number, pixel: number): void => {
    const stride = strides[axis]!;
    for (let k = 0; k < kernel[axis]!; k++) {
      // Position p lies over pixel p·stride + shift, which has to be in [0, size).
      const shift = k * dilations[axis]! - padsBegin[axis]!;
      const from = Math.max(0, Math.ceil(-shift / stride));
      const to = Math.min(positions[axis]!, Math.floor((image[axis]! - 1 - shift) / stride) + 1);
      const nextTap = tap + k * tapStrides[axis]!;
      const pixelOf = (p: number): number => pixel + (p * stride + shift) * pixelStrides[axis]!;
      if (axis === kernel.length - 1) {
        if (from < to) runs.push(nextTap, position + from, pixelOf(from), to - from);
        continue;
      }
      for (let p = from; p < to; p++) visit(axis + 1, nextTap, position + p * positionStrides[axis]!, pixelOf(p));
    }
  };
  visit(0, 0, 0, 0);
  const pointwise = kernel.every((k) => k === 1) && strides.every((s) => s === 1);
  return {
    runs: Int32Array.from(runs),
    step: strides.at(-1)!,
    taps: sizeOf(kernel),
    positions: sizeOf(positions),
    pixels: sizeOf(image),
    identity: pointwise && [...padsBegin, ...padsEnd].every((p) => p === 0),
  };
}

/** Writes the pixels under every window to columns. Shapes: image [C, …pixels] → columns [C·taps, positions], zero where outside. */
export function imageToColumns(
  plan: WindowPlan,
  image: Float64Array,
  start: number,
  channels: number,
  columns: Float64Array,
): void {
  const { runs, step, taps, positions, pixels } = plan;
  for (let c = 0; c < channels; c++) {
    for (let r = 0; r < runs.length; r += 4) {
      let to = (c * taps + runs[r]!) * positions + runs[r + 1]!;
      let from = start + c * pixels + runs[r + 2]!;
      for (const end = to + runs[r + 3]!; to < end; to++, from += step) columns[to] = image[from]!;
    }
  }
}

/** The adjoint: adds columns back to the pixels that they came from. */
export function addColumnsToImage(
  plan: WindowPlan,
  columns: Float64Array,
  image: Float64Array,
  start: number,
  channels: number,
): void {
  const { runs, step, taps, positions, pixels } = plan;
  for (let c = 0; c < channels; c++) {
    for (let r = 0; r < runs.length; r += 4) {
      let from = (c * taps + runs[r]!) * positions + runs[r + 1]!;
      let to = start + c * pixels + runs[r + 2]!;
      for (const end = from + runs[r + 3]!; from < end; from++, to += step) image[to]! += columns[from]!;
    }
  }
}
