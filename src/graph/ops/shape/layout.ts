import { formatShape } from "../../../base/index.js";
import type { Dim, TensorType } from "../../ir/index.js";
import { broadcastDims, normalizeAxis, resolveSlice } from "../geometry.js";
import type { ShapeContext, ShapeRule } from "../rule.js";
import {
  constantNumbers,
  fromFirst,
  isPresent,
  isStatic,
  lengthOf,
  mergeDims,
  mismatch,
  multiplyDims,
  unknownDims,
} from "./dims.js";

/** 0 copies the axis of the input (unless `allowzero`), -1 takes what is left. */
export const reshape: ShapeRule = (context) => {
  const [data, shape] = context.inputs;
  if (!data) return [];
  const wanted = constantNumbers(context, 1);
  if (!wanted) {
    const rank = lengthOf(shape);
    return [{ dtype: data.dtype, dims: rank === undefined ? undefined : unknownDims(rank) }];
  }
  const copies = context.attributes.int("allowzero", 0) === 0;
  const dims = wanted.map((d, i): Dim => (d === 0 && copies ? copiedAxis(data.dims, i, wanted) : d));
  return [{ dtype: data.dtype, dims: resolveRest(dims, data.dims) }];
};

function copiedAxis(dims: readonly Dim[] | undefined, axis: number, wanted: readonly number[]): Dim {
  if (!dims) return "";
  const dim = dims[axis];
  if (dim === undefined)
    throw mismatch(`a 0 in shape ${formatShape(wanted)} only where the input has an axis, got ${formatShape(dims)}`);
  return dim;
}

/** Solves the -1: sizes and names that stand on both sides cancel, what remains is the axis. */
function resolveRest(dims: readonly Dim[], from: readonly Dim[] | undefined): readonly Dim[] {
  const open = dims.indexOf(-1);
  if (dims.some((d, i) => typeof d === "number" && d < (i === open ? -1 : 0)))
    throw mismatch(`sizes and at most one -1, got ${formatShape(dims)}`);
  if (!from) return dims.map((d) => (d === -1 ? "" : d));
  const rest = divideDims(
    from,
    dims.filter((_, i) => i !== open),
  );
  const fits = typeof rest !== "number" || (open < 0 ? rest === 1 : Number.isInteger(rest));
  if (!fits) throw mismatch(`a shape with as many elements as ${formatShape(from)}, got ${formatShape(dims)}`);
  return dims.map((d, i) => (i === open ? rest : d));
}

/** The product of `dims` over the product of `by`; `""` when names remain that cannot be cancelled. */
function divideDims(dims: readonly Dim[], by: readonly Dim[]): Dim {
  const left = [...dims];
  const uncancelled = by.filter((d) => {
    const at = d === "" || d === 1 ? -1 : left.indexOf(d);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  const divisor = multiplyDims(uncancelled);
  const product = multiplyDims(left);
  if (typeof divisor === "string") return "";
  if (divisor === 1) return product;
  if (divisor === 0) return product === 0 || typeof product === "string" ? 0 : NaN;
  return typeof product === "number" ? product / divisor : "";
}

/** Shapes: any → [product before axis, product from axis]. */
export const flatten: ShapeRule = fromFirst((dims, { attributes }) => {
  const given = attributes.int("axis", 1);
  const axis = given === dims.length ? given : normalizeAxis(given, dims.length);
  return [multiplyDims(dims.slice(0, axis)), multiplyDims(dims.slice(axis))];
});

/** Without axes, every axis of size 1 goes; with unknown sizes the rank is then unknown. */
export const squeeze: ShapeRule = fromFirst((dims, context) => {
  if (!isPresent(context, 1)) return isStatic(dims) ? dims.filter((d) => d !== 1) : undefined;
  const axes = constantNumbers(context, 1)?.map((axis) => normalizeAxis(axis, dims.length));
  const wrong = axes?.find((axis) => typeof dims[axis] === "number" && dims[axis] !== 1);
  if (wrong !== undefined) throw mismatch(`size 1 on axis ${wrong}, got ${formatShape(dims)}`);
  return axes && dims.filter((_, i) => !axes.includes(i));
});

/** Axes count in the result. */
export const unsqueeze: ShapeRule = fromFirst((dims, context) => {
  const given = constantNumbers(context, 1);
  if (!given) {
    const added = lengthOf(context.inputs[1]);
    return added === undefined ? undefined : unknownDims(dims.length + added);
  }
  const rank = dims.length + given.length;
  const axes = new Set(given.map((axis) => normalizeAxis(axis, rank)));
  if (axes.size !== given.length) throw mismatch(`distinct axes, got ${formatShape(given)}`);
  const rest = dims.values();
  return Array.from({ length: rank }, (_, i): Dim => (axes.has(i) ? 1 : (rest.next().value ?? "")));
});

export const transpose: ShapeRule = fromFirst((dims, { attributes }) => {
  const perm = attributes.ints("perm") ?? [...dims.keys()].reverse();
  const sorted = perm.toSorted((a, b) => a - b);
  if (perm.length !== dims.length || sorted.some((axis, i) => axis !== i)) {
    throw mismatch(`perm with each axis of ${formatShape(dims)} once, got ${formatShape(perm)}`);
  }
  return perm.map((axis) => dims[axis]!);
});

/** Sizes along the axis add up, all others agree. */
export const concat: ShapeRule = ({ inputs, attributes }) => {
  const dtype = inputs.find((type) => type)?.dtype;
  if (!dtype) return [];
  const shapes = inputs.flatMap((type) => (type?.dims ? [type.dims] : []));
  const [first] = shapes;
  if (!first) return [{ dtype, dims: undefined }];
  const axis = normalizeAxis(attributes.int("axis", 0), first.length);
  if (shapes.some((dims) => dims.length !== first.length))
    throw mismatch(`inputs of one rank, got ${shapes.map(formatShape).join(" and ")}`);
  const merged = shapes.reduce((a, b) =>
    a.map((d, i) => (i === axis ? "" : mergeDims(d, b[i]!, `sizes on axis ${i}`))),
  );
  const complete = shapes.length === inputs.length;
  return [
    {
      dtype,
      dims: merged.map((d, i) => (i === axis ? (complete ? addDims(shapes.map((dims) => dims[axis]!)) : "") : d)),
    },
  ];
};

const addDims = (dims: readonly Dim[]): Dim => {
  const parts = dims.filter((d) => d !== 0);
  if (parts.every((d) => typeof d === "number")) return parts.reduce((a, b) => a + b, 0);
  return parts.length === 1 ? parts[0]! : "";
};

/** Lengths come as an input; otherwise the parts are equal, the last one smaller when `num_outputs` does not divide. */
export const split: ShapeRule = (context) => {
  const { node, inputs, attributes } = context;
  const [input] = inputs;
  if (!input) return [];
  const { dtype, dims } = input;
  if (!dims) return node.outputs.map(() => ({ dtype, dims }));
  const axis = normalizeAxis(attributes.int("axis", 0), dims.length);
  const lengths = splitLengths(context, dims[axis]!);
  return node.outputs.map((_, k): TensorType => ({
    dtype,
    dims: dims.map((d, i) => (i === axis ? (lengths?.[k] ?? "") : d)),
  }));
};

function splitLengths(context: ShapeContext, size: Dim): readonly Dim[] | undefined {
  const { node, attributes } = context;
  const count = node.outputs.length;
  if (isPresent(context, 1)) {
    const lengths = constantNumbers(context, 1);
    const fits =
      !lengths ||
      (lengths.length === count && (typeof size === "string" || lengths.reduce((a, b) => a + b, 0) === size));
    if (!fits) throw mismatch(`${count} lengths that add up to ${size}, got ${formatShape(lengths)}`);
    return lengths;
  }
  if (typeof size === "string") return undefined;
  if (!attributes.has("num_outputs") && size % count !== 0)
    throw mismatch(`a size that divides into ${count} equal parts, got ${size}`);
  const part = Math.ceil(size / count);
  return Array.from({ length: count }, (_, k) => Math.max(0, Math.min(part, size - k * part)));
}

/** Starts and ends are clamped into the axis; a negative step walks down. */
export const slice: ShapeRule = fromFirst((dims, context) => {
  const starts = constantNumbers(context, 1);
  const ends = constantNumbers(context, 2);
  const axes = isPresent(context, 3)
    ? constantNumbers(context, 3)
    : [...dims.keys()].slice(0, starts?.length ?? dims.length);
  const steps = isPresent(context, 4) ? constantNumbers(context, 4) : axes?.map(() => 1);
  if (!axes) return unknownDims(dims.length);
  const result = [...dims];
  axes.forEach((axis, i) => {
    const at = normalizeAxis(axis, dims.length);
    result[at] = starts && ends && steps ? sliceLength(dims[at]!, starts[i]!, ends[i]!, steps[i]!) : "";
  });
  return result;
});

function sliceLength(dim: Dim, start: number, end: number, step: number): Dim {
  if (step === 0) throw mismatch("steps other than 0, got 0");
  if (typeof dim === "number") return resolveSlice(dim, start, end, step).length;
  return start === 0 && step === 1 && end >= 2 ** 31 - 1 ? dim : "";
}

export const pad: ShapeRule = fromFirst((dims, context) => {
  const pads = constantNumbers(context, 1);
  const axes = isPresent(context, 3) ? constantNumbers(context, 3) : [...dims.keys()];
  if (!pads || !axes) return unknownDims(dims.length);
  if (pads.length !== 2 * axes.length)
    throw mismatch(`${2 * axes.length} pads for ${formatShape(dims)}, got ${formatShape(pads)}`);
  const result = [...dims];
  axes.forEach((axis, i) => {
    const at = normalizeAxis(axis, dims.length);
    const total = pads[i]! + pads[i + axes.length]!;
    const dim = dims[at]!;
    result[at] = typeof dim === "number" ? dim + total : total === 0 ? dim : "";
  });
  if (result.some((d) => typeof d === "number" && d < 0))
    throw mismatch(`pads that leave sizes ≥ 0, got ${formatShape(pads)} on ${formatShape(dims)}`);
  return result;
});

/** Broadcasts in both directions: a 1 in the shape keeps the input's size. */
export const expand: ShapeRule = fromFirst((dims, context) => {
  const shape = constantNumbers(context, 1);
  if (shape) return broadcastDims(dims, shape);
  const rank = lengthOf(context.inputs[1]);
  return rank === undefined ? undefined : unknownDims(Math.max(rank, dims.length));
});

export const tile: ShapeRule = fromFirst((dims, context) => {
  const repeats = constantNumbers(context, 1);
  if (!repeats) return unknownDims(dims.length);
  if (repeats.length !== dims.length)
    throw mismatch(`one repeat per axis of ${formatShape(dims)}, got ${formatShape(repeats)}`);
  return dims.map((d, i) => multiplyDims([d, repeats[i]!]));
});

/** The axis is replaced by the shape of the indices. */
export const gather: ShapeRule = fromFirst((dims, { inputs, attributes }) => {
  const axis = normalizeAxis(attributes.int("axis", 0), dims.length);
  const indices = inputs[1]?.dims;
  return indices && [...dims.slice(0, axis), ...indices, ...dims.slice(axis + 1)];
});

/** Each row of the indices names a place in the axes after the batch axes. Shapes: [B…, D…], [B…, R…, K] → [B…, R…, D…[K:]]. */
export const gatherND: ShapeRule = fromFirst((dims, { inputs, attributes }) => {
  const indices = inputs[1]?.dims;
  const depth = indices?.at(-1);
  if (!indices || typeof depth !== "number") return undefined;
  const batch = attributes.int("batch_dims", 0);
  if (indices.length === 0 || batch >= indices.length || batch + depth > dims.length)
    throw mismatch(`indices into ${formatShape(dims)} after ${batch} batch axes, got ${formatShape(indices)}`);
  return [...indices.slice(0, -1), ...dims.slice(batch + depth)];
});

export const gatherElements: ShapeRule = ({ inputs: [data, indices] }) =>
  data ? [{ dtype: data.dtype, dims: indices?.dims }] : [];

/** Shapes: [N, C·b², H, W] → [N, C, H·b, W·b]. */
export const depthToSpace: ShapeRule = fromFirst((dims, { attributes }) => {
  const block = attributes.int("blocksize", 1);
  const [n, c, h, w] = imageDims(dims);
  if (typeof c === "number" && c % block ** 2 !== 0)
    throw mismatch(`channels that divide into ${block}², got ${formatShape(dims)}`);
  return [n, typeof c === "number" ? c / block ** 2 : "", multiplyDims([h, block]), multiplyDims([w, block])];
});

/** Shapes: [N, C, H·b, W·b] → [N, C·b², H, W]. */
export const spaceToDepth: ShapeRule = fromFirst((dims, { attributes }) => {
  const block = attributes.int("blocksize", 1);
  const [n, c, ...spatial] = imageDims(dims);
  if (spatial.some((d) => typeof d === "number" && d % block !== 0))
    throw mismatch(`sizes that divide into ${block}, got ${formatShape(dims)}`);
  return [n, multiplyDims([c, block ** 2]), ...spatial.map((d) => (typeof d === "number" ? d / block : ""))];
});

function imageDims(dims: readonly Dim[]): readonly [Dim, Dim, Dim, Dim] {
  const [n, c, h, w] = dims;
  if (dims.length !== 4) throw mismatch(`[N,C,H,W], got ${formatShape(dims)}`);
  return [n!, c!, h!, w!];
}
