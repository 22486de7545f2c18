import { type Attribute, attr } from "../../../ir/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { WindowGeometry } from "../../geometry.js";

/** One convolution, everything resolved. Shapes: X [N, C, …S], W [M, C/group, …K], dY [N, M, …O]. */
export interface Convolution {
  readonly geometry: WindowGeometry;
  readonly group: number;
  readonly X: Val;
  readonly W: Val;
  readonly dY: Val;
}

export const spatial = (a: Val): readonly number[] => a.dims.slice(2);

/** Attributes of a window, fully written out. */
export function windowAttributes(
  geometry: Pick<WindowGeometry, "strides" | "dilations" | "padsBegin" | "padsEnd">,
  group = 1,
): Record<string, Attribute> {
  const { strides, dilations, padsBegin, padsEnd } = geometry;
  return {
    strides: attr.ints(strides),
    dilations: attr.ints(dilations),
    pads: attr.ints([...padsBegin, ...padsEnd]),
    ...(group === 1 ? {} : { group: attr.int(group) }),
  };
}

/** Elements at the end of each padded axis that no window reads; negative where windows reach past the padding (`ceil_mode`). */
export function unread(
  { kernel, strides, dilations, padsBegin, padsEnd, output }: WindowGeometry,
  sizes: readonly number[],
): number[] {
  return sizes.map((size, i) => {
    const read = (output[i]! - 1) * strides[i]! + (kernel[i]! - 1) * dilations[i]! + 1;
    return size + padsBegin[i]! + padsEnd[i]! - read;
  });
}

/**
 * The adjoint of a windowed sum: adds K · value to every place that the window read. One ConvTranspose, whatever the form.
 * Shapes: value [N, M, …O], kernel [M, C/group, …K] → [N, C, …sizes].
 */
export function scatterWindows(
  emit: Emitter,
  value: Val,
  kernel: Val,
  geometry: WindowGeometry,
  sizes: readonly number[],
  group = 1,
): Val {
  const tail = unread(geometry, sizes);
  const padsEnd = geometry.padsEnd.map((end, i) => end + Math.max(0, -tail[i]!));
  const attributes = windowAttributes({ ...geometry, padsEnd }, group);
  const outputPadding = tail.map((t) => Math.max(0, t));
  if (outputPadding.some((t) => t > 0)) attributes.output_padding = attr.ints(outputPadding);
  return emit.node("ConvTranspose", [value, kernel], attributes)[0];
}

/** The first `sizes` elements of each spatial axis. */
export function cropSpatial(emit: Emitter, a: Val, sizes: readonly number[]): Val {
  return emit.slice(
    a,
    sizes.map((_, i) => i + 2),
    sizes.map(() => 0),
    sizes,
  );
}

export const isPointwise = ({ kernel, strides, padsBegin, padsEnd }: WindowGeometry): boolean =>
  kernel.every((k, i) => k === 1 && strides[i] === 1 && padsBegin[i] === 0 && padsEnd[i] === 0);

/** Batch and channel axes exchanged. */
export const exchange = (emit: Emitter, a: Val): Val => emit.transpose(a, [1, 0, ...spatial(a).map((_, i) => i + 2)]);

/** All index tuples of a shape in row-major order. */
export function offsetsOf(dims: readonly number[]): number[][] {
  return dims.reduce<number[][]>(
    (tuples, size) => tuples.flatMap((t) => Array.from({ length: size }, (_, i) => [...t, i])),
    [[]],
  );
}

/** What each kernel element sees, in row-major order of the kernel. Shapes: [N, C, …S] → K times [N, C, …O]. */
export function shiftedCopies(
  emit: Emitter,
  X: Val,
  { kernel, strides, dilations, padsBegin, padsEnd, output }: WindowGeometry,
): Val[] {
  const padded = emit.pad(X, [0, 0, ...padsBegin, 0, 0, ...padsEnd]);
  const axes = kernel.map((_, i) => i + 2);
  const steps = strides.every((s) => s === 1) ? undefined : strides;
  return offsetsOf(kernel).map((offset) => {
    const starts = offset.map((o, i) => o * dilations[i]!);
    const ends = starts.map((start, i) => start + (output[i]! - 1) * strides[i]! + 1);
    return emit.slice(padded, axes, starts, ends, steps);
  });
}
