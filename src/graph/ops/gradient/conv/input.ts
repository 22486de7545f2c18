import { sizeOf, tensorOf } from "../../../../base/index.js";
import type { Emitter, Val } from "../../emit.js";
import type { WindowGeometry } from "../../geometry.js";
import type { Formulation } from "./formulation.js";
import { inputByColumns } from "./small-maps.js";
import {
  cropSpatial,
  exchange,
  isKernelHeavy,
  isPointwise,
  type Layer,
  offsetsOf,
  pixelRows,
  scatterWindows,
  spatial,
  windowAttributes,
} from "./window.js";

/** Every form: dX = ConvTranspose(dY, W). */
const transposed: Formulation = {
  fits: () => true,
  write: (emit, { geometry, group, X, W, dY }) => scatterWindows(emit, dY, W, geometry, spatial(X), group),
};

/**
 * Stride 1: dX = Conv(dY, W̃) with W̃[c, m, k] = W[m, c, K−1−k] and pads (K−1)·dilation − pad.
 * Shapes: W [M, C/g, …K] → W̃ [C, M/g, …K].
 */
const flipped: Formulation = {
  fits: ({ geometry: { kernel, strides, dilations, padsBegin, padsEnd } }) =>
    kernel.every((k, i) => strides[i] === 1 && Math.max(padsBegin[i]!, padsEnd[i]!) <= (k - 1) * dilations[i]!),
  write: (emit, { geometry, group, W, dY }) => {
    const { kernel, dilations, padsBegin, padsEnd } = geometry;
    const complement = (pads: readonly number[]): number[] => pads.map((p, i) => (kernel[i]! - 1) * dilations[i]! - p);
    const pads = { padsBegin: complement(padsBegin), padsEnd: complement(padsEnd) };
    const kernels = turnKernel(emit, W, group, kernel.map(backwards));
    return emit.node("Conv", [dY, kernels], windowAttributes({ ...geometry, ...pads }, group))[0];
  },
};

/** One pixel, stride 1: dX = Wᵀ · dY over pixels. Shapes: W [M, C], dY [N, M, L] → [N, C, L]. */
const product: Formulation = {
  fits: ({ geometry, group }) => group === 1 && isPointwise(geometry),
  write: (emit, { X, W, dY }) => {
    const [count, outputs, ...sizes] = dY.dims as [number, number, ...number[]];
    const weights = emit.reshape(W, [outputs, W.dims[1]!]);
    const pixels = emit.reshape(dY, [count, outputs, sizeOf(sizes)]);
    return emit.reshape(emit.fusedMatMul(weights, pixels, { transA: true }), X.dims);
  },
};

/**
 * One group: what every kernel element sends back, in one product over the whole batch, then added up at its place.
 * On small maps the kernel is the large operand; a product per sample would read it N times.
 * Shapes: W [M, C·K]ᵀ · dY [M, N·L] → K parts [C, N, …O], each spread by the strides and shifted → [N, C, …S].
 */
const folded: Formulation = {
  fits: ({ group }) => group === 1,
  write: (emit, { geometry, X, W, dY }) => {
    const [count, outputs, ...sizes] = dY.dims as [number, number, ...number[]];
    const [, channels, ...kernel] = W.dims as [number, number, ...number[]];
    const weights = emit.reshape(W, [outputs, channels * sizeOf(kernel)]);
    const pixels = pixelRows(emit, dY);
    const sent = emit.fusedMatMul(weights, pixels, { transA: true });
    const parts = emit.reshape(sent, [channels, sizeOf(kernel), count, ...sizes]);
    const placed = offsetsOf(kernel).map((offset, i) => {
      const part = emit.reshape(emit.slice(parts, [1], [i], [i + 1]), [channels, count, ...sizes]);
      const spread = spreadBy(emit, part, geometry.strides);
      const before = offset.map((o, axis) => o * geometry.dilations[axis]! - geometry.padsBegin[axis]!);
      const after = before.map((b, axis) => spatial(X)[axis]! - spatial(spread)[axis]! - b);
      return emit.pad(spread, [0, 0, ...before, 0, 0, ...after]); // negative pads crop
    });
    return exchange(emit, placed.length === 1 ? placed[0]! : emit.node("Sum", placed)[0]);
  },
};

/** Zeros between elements: element o moves to o · stride. Shapes: [A, B, …O] → [A, B, …O·stride]. */
function spreadBy(emit: Emitter, a: Val, strides: readonly number[]): Val {
  if (strides.every((s) => s === 1)) return a;
  const [first, second] = a.dims as [number, number];
  const single = emit.reshape(a, [first, second, ...spatial(a).flatMap((size) => [size, 1])]);
  const ends = [0, 0, ...strides.flatMap((s) => [0, s - 1])];
  const padded = emit.pad(single, [...ends.map(() => 0), ...ends]);
  return emit.reshape(padded, [first, second, ...spatial(a).map((size, i) => size * strides[i]!)]);
}

/**
 * Strides: pixels of X that lie alike between two windows make one convolution each, of dY by the kernel elements that
 * reach them, and are woven together after. Nothing is multiplied by zero and nothing added up twice.
 * dX[q·s + r] = Σ_k W[k] · dY[q + (r + pad − k·dilation)/s] over the k for which that is a whole number.
 */
const phases: Formulation = {
  fits: ({ geometry: { strides } }) => strides.some((s) => s > 1),
  write: (emit, { geometry, group, X, W, dY }) => {
    const [count, channels] = X.dims as [number, number];
    const sizes = spatial(X).map((size, i) => Math.ceil(size / geometry.strides[i]!));
    const parts = offsetsOf(geometry.strides).map((residues) => {
      const taps = residues.map((r, axis) => tapsOf(geometry, axis, r, sizes[axis]!));
      if (taps.some((tap) => tap === undefined)) return emit.expand(emit.scalar(0, X), [count, channels, ...sizes]);
      const found = taps as readonly Taps[];
      const elements = found.map((tap) => tap.elements);
      const dilations = found.map(({ dilation }) => dilation);
      const before = found.map(({ shift, dilation }, i) => (elements[i]!.length - 1) * dilation - shift);
      return slide(emit, dY, turnKernel(emit, W, group, elements), { dilations, before, sizes }, group);
    });
    return cropSpatial(emit, weave(emit, parts, geometry.strides), spatial(X));
  },
};

/** Along one axis: kernel elements, last first, what lies between two of them in dY, and where the first one reads. */
interface Taps {
  readonly elements: readonly number[];
  readonly dilation: number;
  readonly shift: number;
}

/** The elements through which dY reaches pixels q·stride + residue, q < size; undefined when none does. */
function tapsOf(geometry: WindowGeometry, axis: number, residue: number, size: number): Taps | undefined {
  const { kernel, strides, dilations, padsBegin, output } = geometry;
  const source = (k: number): number => (residue + padsBegin[axis]! - k * dilations[axis]!) / strides[axis]!;
  const elements = backwards(kernel[axis]!).filter((k) => Number.isInteger(source(k)));
  if (elements.length === 0) return undefined;
  const [lowest, shift] = [source(elements[0]!), source(elements.at(-1)!)];
  const isOutside = lowest >= output[axis]! || size - 1 + shift < 0;
  const dilation = elements.length === 1 ? 1 : (shift - lowest) / (elements.length - 1);
  return isOutside ? undefined : { elements, dilation, shift };
}

/** A convolution at stride 1 with `before` padding and the output sizes asked for; what is negative crops. */
function slide(
  emit: Emitter,
  a: Val,
  kernels: Val,
  window: {
    readonly dilations: readonly number[];
    readonly before: readonly number[];
    readonly sizes: readonly number[];
  },
  group: number,
): Val {
  const { dilations, before, sizes } = window;
  const after = sizes.map((size, i) => size + (spatial(kernels)[i]! - 1) * dilations[i]! - spatial(a)[i]! - before[i]!);
  const crop = [0, 0, ...before.map((p) => Math.min(0, p)), 0, 0, ...after.map((p) => Math.min(0, p))];
  const [padsBegin, padsEnd] = [before, after].map((pads) => pads.map((p) => Math.max(0, p))) as [number[], number[]];
  const strides = sizes.map(() => 1);
  return emit.node(
    "Conv",
    [emit.pad(a, crop), kernels],
    windowAttributes({ strides, dilations, padsBegin, padsEnd }, group),
  )[0];
}

/**
 * Maps of every residue, row-major, into one whose pixels alternate between them. Rows are copied whole; within a row a
 * product with a matrix of zeros and ones costs less than copying element by element.
 * Shapes: [A, B, …S] each → [A, B, …S·stride].
 */
function weave(emit: Emitter, parts: readonly Val[], strides: readonly number[]): Val {
  let woven = parts;
  for (let axis = strides.length - 1; axis >= 0; axis--) {
    const stride = strides[axis]!;
    if (stride === 1) continue;
    const isRow = axis === strides.length - 1;
    woven = Array.from({ length: woven.length / stride }, (_, i) => {
      const dims = woven[0]!.dims;
      const at = isRow ? axis + 2 : axis + 3;
      const apart = woven
        .slice(i * stride, (i + 1) * stride)
        .map((part) => emit.reshape(part, dims.toSpliced(at, 0, 1)));
      const together = dims.with(axis + 2, dims[axis + 2]! * stride);
      const joined = emit.reshape(emit.concat(apart, at), together);
      return isRow ? emit.matMul(joined, alternation(emit, dims.at(-1)!, stride, joined.dtype)) : joined;
    });
  }
  return woven[0]!;
}

/** Takes `stride` rows, one behind another, to one that alternates between them. Shapes: [stride·S, stride·S]. */
function alternation(emit: Emitter, size: number, stride: number, dtype: Val["dtype"]): Val {
  const order = offsetsOf([size, stride]).map(([at, row]) => row! * size + at!);
  return selection(emit, order, size * stride, dtype);
}

/** A product with this matrix picks elements of a row: one at `order[i]` comes to place i. Shapes: [S, order]. */
function selection(emit: Emitter, order: readonly number[], size: number, dtype: Val["dtype"]): Val {
  return emit.shared(`selection:${dtype};${size};${order}`, () => {
    const data = new Float64Array(size * order.length);
    order.forEach((from, to) => (data[from * order.length + to] = 1));
    return emit.tensor(tensorOf(dtype, [size, order.length], data), "selection");
  });
}

export const inputFormulations = { transposed, flipped, product, folded, smallMap: inputByColumns, phases } as const;

/** Measured on ONNX Runtime's CPU provider, kernels that change and kernels that do not. */
export function preferredInput(layer: Layer): keyof typeof inputFormulations {
  const pixels = sizeOf(layer.geometry.output);
  if (product.fits(layer))
    return isKernelHeavy(layer) && !layer.isConstant ? "folded" : pixels < 400 ? "flipped" : "product";
  if (inputByColumns.fits(layer) && pixels <= 25) return "smallMap";
  return flipped.fits(layer) ? "flipped" : "transposed";
}

const backwards = (size: number): number[] => Array.from({ length: size }, (_, i) => size - 1 - i);

/**
 * The kernel of the way back: input and output channels exchanged within each group and, of each spatial axis, the
 * elements listed. One product does both in half the time of transposing in one piece and slicing with negative steps.
 * Shapes: [M, C/g, …K] → [C, M/g, …elements].
 */
function turnKernel(emit: Emitter, W: Val, group: number, elements: readonly (readonly number[])[]): Val {
  const [outputs, inputs, ...kernel] = W.dims as [number, number, ...number[]];
  const [channels, perGroup, size] = [group * inputs, outputs / group, sizeOf(kernel)];
  const order = offsetsOf(elements.map(({ length }) => length)).map((at) =>
    at.reduce((index, i, axis) => index * kernel[axis]! + elements[axis]![i]!, 0),
  );
  const dims = [channels, perGroup, ...elements.map(({ length }) => length)];
  const columns = emit.transpose(emit.reshape(W, [group, perGroup, inputs * size]), [0, 2, 1]);
  if (size === 1) return emit.reshape(columns, dims);
  const picked = selection(emit, order, size, W.dtype);
  if (perGroup === 1) return emit.reshape(emit.matMul(emit.reshape(columns, [channels, size]), picked), dims);
  const perChannel = emit.reshape(columns, [channels, size, perGroup]);
  return emit.reshape(emit.fusedMatMul(perChannel, picked, { transA: true }), dims);
}
