import { sizeOf } from "../../../../base/index.js";
import { type Attribute, attr } from "../../../ir/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { WindowGeometry } from "../../geometry.js";

/** One convolution, everything resolved. Shapes: X [N, C, …S], W [M, C/group, …K]. */
export interface Layer {
  readonly geometry: WindowGeometry;
  readonly group: number;
  readonly X: Val;
  readonly W: Val;
  /** Whether the kernel is known before running, so that the runtime prepares it, and what is made of it, at load. */
  readonly isConstant: boolean;
}

/** The same, on the way back. Shapes: dY [N, M, …O]. */
export interface Convolution extends Layer {
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

export const isDepthwise = ({ group, X, W }: Layer): boolean => group > 1 && group === X.dims[1] && group === W.dims[0];

/**
 * Whether it costs less to move the maps of all samples together than to go through the kernel once per sample.
 * Measured on pointwise kernels: moving one value costs as much as reading eight of the kernel.
 */
export function isKernelHeavy({ W, geometry }: Layer): boolean {
  const [outputs, inputs] = W.dims as [number, number];
  return outputs * inputs > 8 * sizeOf(geometry.output) * (outputs + inputs);
}

/** Batch and channel axes exchanged. */
export const exchange = (emit: Emitter, a: Val): Val => emit.transpose(a, [1, 0, ...spatial(a).map((_, i) => i + 2)]);

/** One row per channel, the batch behind one another. Shapes: [N, C, …S] → [C, N·S]. */
export const pixelRows = (emit: Emitter, a: Val): Val =>
  emit.reshape(exchange(emit, a), [a.dims[1]!, sizeOf(a.dims) / a.dims[1]!]);

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
