import { formatShape, LimberError, sizeOf } from "../../../base/index.js";
import { broadcastDims, normalizeAxis } from "../geometry.js";
import type { KernelContext, ReferenceTensor } from "../rule.js";
import { broadcastTo, concatenate, selectIndices, transpose } from "./gather.js";
import { createTensor, type Kernels, mismatch, numbersOf, stridesOf, withDims } from "./support.js";

/** A non-negative index into an axis. Throws: `shape.mismatch`. */
export function normalizeIndex(index: number, size: number): number {
  if (index >= -size && index < size) return index < 0 ? index + size : index;
  throw new LimberError("shape.mismatch", `index in [${-size}, ${size - 1}], got ${index}`);
}

function reshape(data: ReferenceTensor, shape: readonly number[], allowZero: boolean): ReferenceTensor {
  const dims = shape.map((d, i) => (d === 0 && !allowZero ? (data.dims[i] ?? 0) : d));
  const known = sizeOf(dims.filter((d) => d !== -1));
  const resolved = dims.map((d) => (d === -1 ? data.data.length / known : d));
  if (sizeOf(resolved) !== data.data.length || !resolved.every(Number.isInteger)) {
    throw mismatch(`a shape of ${data.data.length} elements for ${formatShape(data.dims)}`, shape);
  }
  return withDims(data, resolved);
}

/** The indices that `start:end:step` picks from an axis, by the clamping rules of ONNX Slice. */
function sliceIndices(size: number, start: number, end: number, step: number): number[] {
  const clamp = (index: number, low: number, high: number): number =>
    Math.min(Math.max(index < 0 ? index + size : index, low), high);
  const from = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const to = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  const count = Math.max(0, Math.ceil((to - from) / step));
  return Array.from({ length: count }, (_, i) => from + i * step);
}

/** Where element `index` of a padded axis comes from; −1 for the constant. */
const PAD_SOURCES: Readonly<Record<string, (index: number, size: number) => number>> = {
  constant: (index, size) => (index >= 0 && index < size ? index : -1),
  edge: (index, size) => Math.min(Math.max(index, 0), size - 1),
  wrap: (index, size) => ((index % size) + size) % size,
  reflect(index, size) {
    const period = Math.max(1, 2 * (size - 1));
    const inPeriod = ((index % period) + period) % period;
    return Math.min(inPeriod, period - inPeriod);
  },
};

const REDUCTIONS: Readonly<Record<string, (old: number, update: number) => number>> = {
  none: (_, update) => update,
  add: (old, update) => old + update,
  mul: (old, update) => old * update,
  max: Math.max,
  min: Math.min,
};

/** How an update meets what is there. Throws: `op.unsupported`. */
export const reductionOf = (
  attributes: KernelContext["attributes"],
  what: string,
): ((old: number, update: number) => number) => choose(REDUCTIONS, attributes.string("reduction", "none"), what);

/** An attribute that picks one of several behaviours. Throws: `op.unsupported`. */
function choose<T>(table: Readonly<Record<string, T>>, key: string, what: string): T {
  const found = Object.hasOwn(table, key) ? table[key] : undefined;
  if (found !== undefined) return found;
  throw new LimberError("op.unsupported", `${what}: one of ${Object.keys(table).join(", ")}, got "${key}"`);
}

/** Calls `visit(i, offset)` with the offset in `data` that each element of `indices` points to along an axis. */
function forEachElementOffset(
  data: ReferenceTensor,
  indices: ReferenceTensor,
  axis: number,
  visit: (i: number, offset: number) => void,
): void {
  const strides = stridesOf(data.dims);
  const indexStrides = stridesOf(indices.dims);
  indices.data.forEach((index, i) => {
    let offset = normalizeIndex(index, data.dims[axis]!) * strides[axis]!;
    for (let a = 0; a < strides.length; a++) {
      if (a !== axis) offset += (Math.floor(i / indexStrides[a]!) % indices.dims[a]!) * strides[a]!;
    }
    visit(i, offset);
  });
}

type LayoutOp =
  | "Reshape"
  | "Flatten"
  | "Squeeze"
  | "Unsqueeze"
  | "Transpose"
  | "Concat"
  | "Split"
  | "Slice"
  | "Pad"
  | "Expand"
  | "Tile"
  | "Gather"
  | "GatherElements"
  | "ScatterElements"
  | "DepthToSpace"
  | "SpaceToDepth";

export const layoutKernels: Kernels<LayoutOp> = {
  Reshape: ({ data, shape }, { attributes }) => reshape(data, numbersOf(shape), attributes.int("allowzero", 0) === 1),

  Flatten({ input }, { attributes }) {
    const axis = attributes.int("axis", 1);
    const at = axis < 0 ? axis + input.dims.length : axis;
    return withDims(input, [sizeOf(input.dims.slice(0, at)), sizeOf(input.dims.slice(at))]);
  },

  Squeeze({ data, axes }) {
    const chosen = axes && numbersOf(axes).map((axis) => normalizeAxis(axis, data.dims.length));
    const dropped = data.dims.map((d, i) => (chosen ? chosen.includes(i) : d === 1));
    const dims = data.dims.filter((_, i) => !dropped[i]);
    if (sizeOf(dims) !== data.data.length) throw mismatch(`axes of size 1 at ${formatShape(chosen ?? [])}`, data.dims);
    return withDims(data, dims);
  },

  Unsqueeze({ data, axes }) {
    const rank = data.dims.length + axes.data.length;
    const added = numbersOf(axes).map((axis) => normalizeAxis(axis, rank));
    const old = data.dims[Symbol.iterator]();
    return withDims(
      data,
      Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : (old.next().value ?? 1))),
    );
  },

  Transpose: ({ data }, { attributes }) =>
    transpose(data, attributes.ints("perm") ?? data.dims.map((_, i) => i).reverse()),

  Concat: ({ inputs }, { attributes }) => concatenate(inputs, attributes.int("axis", 0)),

  Split({ input, split }, { attributes, node }) {
    const axis = normalizeAxis(attributes.int("axis", 0), input.dims.length);
    const size = input.dims[axis]!;
    const chunk = Math.ceil(size / node.outputs.length);
    const sizes = split ? numbersOf(split) : node.outputs.map((_, i) => Math.max(0, Math.min(chunk, size - i * chunk)));
    if (sizes.reduce((sum, s) => sum + s, 0) !== size)
      throw mismatch(`parts ${formatShape(sizes)} of axis ${axis}`, input.dims);
    let start = 0;
    return sizes.map((length) => {
      const indices = Float64Array.from({ length }, (_, i) => start + i);
      start += length;
      return selectIndices(input, new Map([[axis, indices]]));
    });
  },

  Slice({ data, starts, ends, axes, steps }) {
    const chosen = axes ? numbersOf(axes) : numbersOf(starts).map((_, i) => i);
    const indices = chosen.map((axis, i) => {
      const at = normalizeAxis(axis, data.dims.length);
      return [at, sliceIndices(data.dims[at]!, starts.data[i]!, ends.data[i]!, steps?.data[i] ?? 1)] as const;
    });
    return selectIndices(data, new Map(indices));
  },

  /** Negative pads crop. */
  Pad({ data, pads, constant_value, axes }, { attributes }) {
    const chosen = axes ? numbersOf(axes) : data.dims.map((_, i) => i);
    const source = choose(PAD_SOURCES, attributes.string("mode", "constant"), "Pad mode");
    const indices = chosen.map((axis, i) => {
      const at = normalizeAxis(axis, data.dims.length);
      const size = data.dims[at]!;
      const [before, after] = [pads.data[i]!, pads.data[i + chosen.length]!];
      return [at, Array.from({ length: before + size + after }, (_, k) => source(k - before, size))] as const;
    });
    return selectIndices(data, new Map(indices), constant_value?.data[0] ?? 0);
  },

  Expand: ({ input, shape }) => broadcastTo(input, broadcastDims(input.dims, numbersOf(shape))),

  Tile({ input, repeats }) {
    const indices = input.dims.map(
      (size, axis) => [axis, Array.from({ length: size * repeats.data[axis]! }, (_, i) => i % size)] as const,
    );
    return selectIndices(input, new Map(indices));
  },

  Gather({ data, indices }, { attributes }) {
    const axis = normalizeAxis(attributes.int("axis", 0), data.dims.length);
    const picked = indices.data.map((index) => normalizeIndex(index, data.dims[axis]!));
    return withDims(selectIndices(data, new Map([[axis, picked]])), data.dims.toSpliced(axis, 1, ...indices.dims));
  },

  GatherElements({ data, indices }, { attributes }) {
    const y = createTensor(data.dtype, indices.dims);
    const axis = normalizeAxis(attributes.int("axis", 0), data.dims.length);
    forEachElementOffset(data, indices, axis, (i, offset) => (y.data[i] = data.data[offset]!));
    return y;
  },

  ScatterElements({ data, indices, updates }, { attributes }) {
    const y = createTensor(data.dtype, data.dims, data.data.slice());
    const axis = normalizeAxis(attributes.int("axis", 0), data.dims.length);
    const combine = reductionOf(attributes, "ScatterElements reduction");
    forEachElementOffset(
      data,
      indices,
      axis,
      (i, offset) => (y.data[offset] = combine(y.data[offset]!, updates.data[i]!)),
    );
    return y;
  },

  DepthToSpace({ input }, { attributes }) {
    const [n, c, h, w] = input.dims as [number, number, number, number];
    const b = attributes.int("blocksize", 1);
    const depth = c / b ** 2;
    const columnsFirst = attributes.string("mode", "DCR") === "CRD";
    const blocks = withDims(input, columnsFirst ? [n, depth, b, b, h, w] : [n, b, b, depth, h, w]);
    return withDims(transpose(blocks, columnsFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]), [
      n,
      depth,
      h * b,
      w * b,
    ]);
  },

  SpaceToDepth({ input }, { attributes }) {
    const [n, c, h, w] = input.dims as [number, number, number, number];
    const b = attributes.int("blocksize", 1);
    const blocks = withDims(input, [n, c, h / b, b, w / b, b]);
    return withDims(transpose(blocks, [0, 3, 5, 1, 2, 4]), [n, c * b ** 2, h / b, w / b]);
  },
};
