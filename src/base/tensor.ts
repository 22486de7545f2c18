import { LimberError } from "./errors.js";

/** Element types by their ONNX names. float16 and bfloat16 are carried as raw 16-bit words. */
export type DType =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "bool"
  | "string";

export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;
export type TensorData = NumericArray | readonly Uint8Array[];

/** A dense host tensor in row-major order. `bool` holds 0 or 1; `string` holds the raw bytes of each element. */
export interface Tensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/** A float tensor, the common case: `data` is typed. */
export interface FloatTensor extends Tensor {
  readonly dtype: "float32" | "float64";
  readonly data: Float32Array | Float64Array;
}

const CONSTRUCTORS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

export type NumericDType = keyof typeof CONSTRUCTORS;

export const isNumeric = (dtype: DType): dtype is NumericDType => dtype !== "string";
export const isFloat = (dtype: DType): dtype is "float32" | "float64" => dtype === "float32" || dtype === "float64";
export const bytesPerElement = (dtype: DType): number => (isNumeric(dtype) ? CONSTRUCTORS[dtype].BYTES_PER_ELEMENT : 1);

/** Number of elements of a shape; 1 for a scalar `[]`. */
export const sizeOf = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);
export const formatShape = (dims: readonly (number | string)[]): string => `[${dims.join(",")}]`;
export const sameShape = (a: readonly (number | string)[], b: readonly (number | string)[]): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

export function createArray(dtype: DType, length: number): NumericArray {
  if (!isNumeric(dtype)) throw new LimberError("op.unsupported", `tensor: numeric element type, got "${dtype}"`);
  return new CONSTRUCTORS[dtype](length);
}

/** Wraps typed data after checking its length against the shape. Throws: `shape.mismatch`. */
export function tensor(dtype: DType, dims: readonly number[], data: TensorData): Tensor {
  if (data.length !== sizeOf(dims)) {
    throw new LimberError(
      "shape.mismatch",
      `tensor: ${sizeOf(dims)} elements for ${formatShape(dims)}, got ${data.length}`,
    );
  }
  return { dtype, dims, data };
}

/** Clamps: 2^63 − 1, "to the end" in a Slice, is 2^63 as a double and must not wrap around. */
const toBigInt = (value: number, min: bigint, max: bigint): bigint =>
  value >= Number(max) ? max : value <= Number(min) ? min : BigInt(value);

/** Builds a tensor from plain numbers, rounding to the element type. */
export function tensorOf(dtype: DType, dims: readonly number[], values: ArrayLike<number>): Tensor {
  const data = createArray(dtype, values.length);
  for (let i = 0; i < values.length; i++) {
    if (data instanceof BigInt64Array) data[i] = toBigInt(values[i]!, -(2n ** 63n), 2n ** 63n - 1n);
    else if (data instanceof BigUint64Array) data[i] = toBigInt(values[i]!, 0n, 2n ** 64n - 1n);
    else data[i] = values[i]!;
  }
  return tensor(dtype, dims, data);
}

export const scalar = (dtype: DType, value: number): Tensor => tensorOf(dtype, [], [value]);
export const int64s = (values: readonly number[]): Tensor => tensorOf("int64", [values.length], values);
export const zeros = (dtype: DType, dims: readonly number[]): Tensor => ({
  dtype,
  dims,
  data: createArray(dtype, sizeOf(dims)),
});

/** The elements as plain numbers (int64 included: shapes and axes are far below 2^53). Throws: `op.unsupported` for 16-bit floats and strings. */
export function toNumbers(t: Tensor): number[] {
  if (t.dtype === "float16" || t.dtype === "bfloat16" || t.dtype === "string") {
    throw new LimberError("op.unsupported", `tensor: numbers, got element type "${t.dtype}"`);
  }
  return Array.from(t.data as ArrayLike<number | bigint>, Number);
}

/** The bytes of a numeric tensor, without a copy. */
export function bytesOf(t: Tensor): Uint8Array {
  const data = t.data as NumericArray;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
