import { formatShape, invariant, LimberError } from "../../base/index.js";
import type { AttributeReader, Dim } from "../ir/index.js";

/** A sliding window with everything resolved: one entry per spatial axis. */
export interface WindowGeometry {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padsBegin: readonly number[];
  readonly padsEnd: readonly number[];
  /** Spatial sizes of the output. */
  readonly output: readonly number[];
}

/** One spatial axis of a window, before the input size is known. */
interface WindowAxis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pads: readonly [begin: number, end: number];
}

interface Resolved {
  readonly output: number;
  readonly begin: number;
  readonly end: number;
}
type Resolve = (axis: WindowAxis, size: number, index: number) => Resolved;

/**
 * Geometry of a convolution: the kernel is that of W.
 * Shapes: X [N, C, …spatial], W [M, C/group, …kernel].
 */
export const convGeometry = (
  attributes: AttributeReader,
  xDims: readonly number[],
  wDims: readonly number[],
): WindowGeometry => resolveAll(attributes, xDims.slice(2), wDims.slice(2), forwardResolver(attributes));

/** Geometry of a pooling window, `ceil_mode` included; the kernel is the attribute `kernel_shape`. */
export const poolGeometry = (attributes: AttributeReader, xDims: readonly number[]): WindowGeometry =>
  resolveAll(attributes, xDims.slice(2), poolKernel(attributes), forwardResolver(attributes));

/**
 * Geometry of a transposed convolution, `output_padding` and `output_shape` resolved into pads.
 * Shapes: X [N, C, …spatial], W [C, M/group, …kernel].
 */
export const convTransposeGeometry = (
  attributes: AttributeReader,
  xDims: readonly number[],
  wDims: readonly number[],
): WindowGeometry =>
  resolveAll(attributes, xDims.slice(2), wDims.slice(2), transposedResolver(attributes, wDims.length - 2));

/** Spatial output sizes when some input sizes are names: numbers where computable, the name itself where the window keeps the size. */
export function windowOutputs(
  kind: "forward" | "transposed",
  attributes: AttributeReader,
  spatial: readonly Dim[],
  kernel: readonly number[],
): Dim[] {
  const resolve = kind === "forward" ? forwardResolver(attributes) : transposedResolver(attributes, kernel.length);
  return windowAxes(attributes, kernel).map((axis, i) => {
    const size = spatial[i]!;
    if (typeof size === "number") return resolve(axis, size, i).output;
    // With stride 1 the output is size + constant: one probe tells whether the constant is zero.
    const probe = 2 ** 20;
    return axis.stride === 1 && resolve(axis, probe, i).output === probe ? size : "";
  });
}

export function poolKernel(attributes: AttributeReader): readonly number[] {
  const kernel = attributes.ints("kernel_shape");
  invariant(kernel, "a pool without kernel_shape passed shape inference");
  return kernel;
}

function resolveAll(
  attributes: AttributeReader,
  spatial: readonly number[],
  kernel: readonly number[],
  resolve: Resolve,
): WindowGeometry {
  const axes = windowAxes(attributes, kernel);
  const resolved = axes.map((axis, i) => resolve(axis, spatial[i]!, i));
  return {
    kernel,
    strides: axes.map((axis) => axis.stride),
    dilations: axes.map((axis) => axis.dilation),
    padsBegin: resolved.map((r) => r.begin),
    padsEnd: resolved.map((r) => r.end),
    output: resolved.map((r) => r.output),
  };
}

function windowAxes(attributes: AttributeReader, kernel: readonly number[]): WindowAxis[] {
  const rank = kernel.length;
  const list = (name: string, length: number, fallback: number, minimum = -Infinity): readonly number[] => {
    const values = attributes.ints(name) ?? Array<number>(length).fill(fallback);
    if (values.length === length && values.every((value) => value >= minimum)) return values;
    const expectation = minimum > 0 ? ` of at least ${minimum}` : "";
    const message = `${name} with ${length} entries${expectation} for kernel ${formatShape(kernel)}, got ${formatShape(values)}`;
    throw new LimberError("shape.mismatch", message);
  };
  const strides = list("strides", rank, 1, 1);
  const dilations = list("dilations", rank, 1, 1);
  const pads = list("pads", 2 * rank, 0);
  return kernel.map((size, i) => ({
    kernel: size,
    stride: strides[i]!,
    dilation: dilations[i]!,
    pads: [pads[i]!, pads[i + rank]!],
  }));
}

const reach = (axis: WindowAxis): number => (axis.kernel - 1) * axis.dilation + 1;

/** Splits a total padding; the odd element goes to the end for SAME_UPPER. */
function splitPadding(total: number, extraAtEnd: boolean): { begin: number; end: number } {
  const small = Math.floor(total / 2);
  return extraAtEnd ? { begin: small, end: total - small } : { begin: total - small, end: small };
}

function forwardResolver(attributes: AttributeReader): Resolve {
  const autoPad = attributes.string("auto_pad", "NOTSET");
  const ceil = attributes.int("ceil_mode", 0) === 1;
  return (axis, size) => {
    if (autoPad === "SAME_UPPER" || autoPad === "SAME_LOWER") {
      const output = Math.ceil(size / axis.stride);
      const total = Math.max(0, (output - 1) * axis.stride + reach(axis) - size);
      return { output, ...splitPadding(total, autoPad === "SAME_UPPER") };
    }
    const [begin, end] = autoPad === "VALID" ? [0, 0] : axis.pads;
    const steps = (size + begin + end - reach(axis)) / axis.stride;
    if (!ceil) return { output: Math.floor(steps) + 1, begin, end };
    // As in ONNX Runtime and PyTorch, a window that would start in the end padding is dropped.
    const startsInside = Math.ceil((size + begin) / axis.stride);
    return { output: Math.min(Math.ceil(steps) + 1, startsInside), begin, end };
  };
}

function transposedResolver(attributes: AttributeReader, rank: number): Resolve {
  const autoPad = attributes.string("auto_pad", "NOTSET");
  const outputPadding = attributes.ints("output_padding");
  // Some exporters write the whole output shape, some only its spatial part.
  const outputShape = attributes.ints("output_shape")?.slice(-rank);
  const same = autoPad === "SAME_UPPER" || autoPad === "SAME_LOWER";
  return (axis, size, index) => {
    const full = axis.stride * (size - 1) + (outputPadding?.[index] ?? 0) + reach(axis);
    // As in ONNX Runtime, SAME crops but does not stretch: a kernel below the stride leaves fewer than size · stride.
    const wanted = outputShape?.[index] ?? (same ? Math.min(full, size * axis.stride) : undefined);
    if (wanted !== undefined)
      return { output: wanted, ...splitPadding(Math.max(0, full - wanted), autoPad === "SAME_UPPER") };
    const [begin, end] = autoPad === "VALID" ? [0, 0] : axis.pads;
    return { output: full - begin - end, begin, end };
  };
}

/** A non-negative axis. Throws: `shape.mismatch`. */
export function normalizeAxis(axis: number, rank: number): number {
  if (axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
  throw new LimberError("shape.mismatch", `axis in [${-rank}, ${rank - 1}], got ${axis}`);
}

/** Where a slice of one axis begins and how many elements it takes; starts and ends are clamped into the axis. */
export function resolveSlice(
  size: number,
  start: number,
  end: number,
  step: number,
): { start: number; length: number } {
  const wrap = (at: number): number => (at < 0 ? at + size : at);
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const from = Math.min(Math.max(wrap(start), 0), high);
  const to = Math.min(Math.max(wrap(end), low), high);
  return { start: from, length: Math.max(0, Math.ceil((to - from) / step)) };
}

/**
 * The common shape of operands under numpy's rules.
 * A name against 1 stays the name; against a larger number it must be that number; two different names may be anything.
 * Throws: `shape.mismatch`.
 */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[];
export function broadcastDims(...shapes: readonly (readonly Dim[])[]): Dim[];
export function broadcastDims(...shapes: readonly (readonly Dim[])[]): Dim[] {
  const rank = Math.max(0, ...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, i) =>
    shapes
      .map((dims) => dims[i - rank + dims.length] ?? 1)
      .reduce((a, b) => {
        if (a === b || b === 1) return a;
        if (a === 1) return b;
        if (typeof a === "string") return typeof b === "number" ? b : "";
        if (typeof b === "string") return a;
        throw new LimberError("shape.mismatch", `shapes that broadcast, got ${shapes.map(formatShape).join(" and ")}`);
      }),
  );
}
