import { type DType, formatShape, LimberError, sizeOf } from "../../../base/index.js";
import { catalog, type InputsOf, nameInputs, type OpType } from "../catalog.js";
import type { Kernel, KernelContext, ReferenceTensor } from "../rule.js";

/** A kernel that sees its inputs by their names in the specification. */
export type NamedKernel<K extends OpType> = (
  inputs: InputsOf<K, ReferenceTensor>,
  context: KernelContext,
) => ReferenceTensor | readonly ReferenceTensor[];

/** The kernels of one family of ops. */
export type Kernels<K extends OpType> = { readonly [P in K]: NamedKernel<P> };

/** Makes positional kernels of named ones. Throws: `graph.invalid` when a required input is absent. */
export function bindKernel<K extends OpType>(op: K, kernel: NamedKernel<K>): Kernel {
  const specs: readonly string[] = catalog[op].inputs;
  const required = specs.filter((name) => !name.endsWith("?") && !name.endsWith("*"));
  return (context) => {
    const absent = required.find((name) => context.inputs[specs.indexOf(name)] === undefined);
    if (absent !== undefined) throw new LimberError("graph.invalid", `${op}: an input ${absent}, got none`);
    const outputs = kernel(nameInputs<K, ReferenceTensor>(op, context.inputs), context);
    return "data" in outputs ? [outputs] : outputs;
  };
}

export const createTensor = (
  dtype: DType,
  dims: readonly number[],
  data: Float64Array = new Float64Array(sizeOf(dims)),
): ReferenceTensor => ({ dtype, dims, data });

/** The same elements under another shape. */
export const withDims = (tensor: ReferenceTensor, dims: readonly number[]): ReferenceTensor => ({ ...tensor, dims });

export const numbersOf = (tensor: ReferenceTensor): number[] => Array.from(tensor.data);

export const isInteger = (dtype: DType): boolean => /^u?int/.test(dtype);

/** Elements from one index of each axis to the next, in row-major order. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = Array<number>(dims.length).fill(1);
  for (let i = dims.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * dims[i + 1]!;
  return strides;
}

/** Sizes before, at and after an axis: the tensor seen as [outer, length, inner]. */
export const splitAt = (
  dims: readonly number[],
  axis: number,
): readonly [outer: number, length: number, inner: number] => [
  sizeOf(dims.slice(0, axis)),
  dims[axis]!,
  sizeOf(dims.slice(axis + 1)),
];

export function mismatch(expectation: string, ...shapes: readonly (readonly number[])[]): LimberError {
  return new LimberError("shape.mismatch", `${expectation}, got ${shapes.map(formatShape).join(" and ")}`);
}
