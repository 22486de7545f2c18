import { LimberError, sizeOf, type Tensor, toNumbers } from "../../../base/index.js";
import { findDType } from "../../ir/index.js";
import { normalizeAxis } from "../geometry.js";
import type { ReferenceTensor } from "../rule.js";
import { createTensor, type Kernels, numbersOf, splitAt } from "./support.js";

/** A host tensor as doubles. Throws: `op.unsupported` for 16-bit floats and strings. */
export const toReference = (tensor: Tensor): ReferenceTensor =>
  createTensor(tensor.dtype, tensor.dims, Float64Array.from(toNumbers(tensor)));

const list = (dtype: "float32" | "int64", values: readonly number[]): ReferenceTensor =>
  createTensor(dtype, [values.length], Float64Array.from(values));
const single = (dtype: "float32" | "int64", value: number): ReferenceTensor =>
  createTensor(dtype, [], Float64Array.of(value));

/** Clamped to [0, rank], counted from the end when negative. */
const clampAxis = (axis: number, rank: number): number => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);

export const constantKernels: Kernels<
  "Constant" | "ConstantOfShape" | "EyeLike" | "Shape" | "Size" | "Range" | "OneHot"
> = {
  /** A `value_float` keeps its double, so that formulas are evaluated with the number as written. */
  Constant(_, { attributes, node }) {
    const value = attributes.tensor("value");
    if (value) return toReference(value);
    const [floats, ints] = [attributes.floats("value_floats"), attributes.ints("value_ints")];
    if (floats) return list("float32", floats);
    if (ints) return list("int64", ints);
    if (attributes.has("value_float")) return single("float32", attributes.float("value_float", 0));
    if (attributes.has("value_int")) return single("int64", attributes.int("value_int", 0));
    throw new LimberError("graph.invalid", `Constant "${node.name}": an attribute with the value, got none`, {
      node: node.name,
    });
  },

  ConstantOfShape({ input }, { attributes }) {
    const value = attributes.tensor("value");
    const fill = value ? toReference(value) : single("float32", 0);
    const y = createTensor(fill.dtype, numbersOf(input));
    y.data.fill(fill.data[0]!);
    return y;
  },

  EyeLike({ input }, { attributes }) {
    const [, columns] = input.dims as [number, number];
    const diagonal = attributes.int("k", 0);
    const y = createTensor(findDType(attributes.int("dtype", 0)) ?? input.dtype, input.dims);
    y.data.forEach((_, i) => (y.data[i] = Number((i % columns) - Math.floor(i / columns) === diagonal)));
    return y;
  },

  Shape({ data }, { attributes }) {
    const rank = data.dims.length;
    return list(
      "int64",
      data.dims.slice(clampAxis(attributes.int("start", 0), rank), clampAxis(attributes.int("end", rank), rank)),
    );
  },

  Size: ({ data }) => single("int64", sizeOf(data.dims)),

  Range({ start, limit, delta }) {
    const [first, step] = [start.data[0]!, delta.data[0]!];
    const count = Math.max(0, Math.ceil((limit.data[0]! - first) / step));
    return createTensor(
      start.dtype,
      [count],
      Float64Array.from({ length: count }, (_, i) => first + i * step),
    );
  },

  /** An index outside of [−depth, depth) gives a row of off values. Shapes: [...] → [..., depth at `axis`, ...]. */
  OneHot({ indices, depth, values }, { attributes }) {
    const classes = depth.data[0]!;
    const [off, on] = numbersOf(values) as [number, number];
    const axis = normalizeAxis(attributes.int("axis", -1), indices.dims.length + 1);
    const y = createTensor(values.dtype, indices.dims.toSpliced(axis, 0, classes));
    const [, , inner] = splitAt(y.dims, axis);
    y.data.fill(off);
    indices.data.forEach((index, i) => {
      const at = index < 0 ? index + classes : index;
      if (at >= 0 && at < classes) y.data[(Math.floor(i / inner) * classes + at) * inner + (i % inner)] = on;
    });
    return y;
  },
};
