import {
  bytesPerElement,
  createArray,
  LimberError,
  sizeOf,
  type NumericArray,
  type NumericDType,
  type Tensor,
} from "../../base/index.js";
import { plainBytes } from "../files.js";

/** NumPy's type strings that carry over to a tensor as they are; byte order little-endian, as every platform of ours. */
const DTYPES: Readonly<Record<string, NumericDType>> = {
  "|u1": "uint8",
  "|i1": "int8",
  "|b1": "bool",
  "<u2": "uint16",
  "<i2": "int16",
  "<u4": "uint32",
  "<i4": "int32",
  "<u8": "uint64",
  "<i8": "int64",
  "<f4": "float32",
  "<f8": "float64",
};

/** What the header of an array says. `dataOffset` is where the elements begin. */
export interface NpyHeader {
  readonly dtype: NumericDType;
  readonly dims: readonly number[];
  readonly dataOffset: number;
  readonly dataBytes: number;
}

const MAGIC = "\x93NUMPY";
/** Enough for any array of numbers; longer headers belong to structured types. */
export const NPY_HEADER_LIMIT = 65_536;

/**
 * Reads the header of a `.npy` file, version 1 or 2.
 * Throws: `data.invalid` for other bytes, pickled objects, Fortran order, and element types without a tensor type.
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 */
export function readNpyHeader(bytes: Uint8Array, path: string): NpyHeader {
  const fail: (expected: string, next?: string) => never = (expected, next = "") => {
    throw new LimberError("data.invalid", `${path}: ${expected}${next && `; ${next}`}`, { path });
  };
  const latin1 = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString("latin1");
  if (bytes.length < 12 || latin1(0, 6) !== MAGIC)
    fail("a NumPy array expected, got other bytes", "write it with numpy.save");
  const version = bytes[6]!;
  if (version !== 1 && version !== 2)
    fail(`NumPy format version 1 or 2 expected, got ${version}`, "write it with numpy.save");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerAt = version === 1 ? 10 : 12;
  const dataOffset = headerAt + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataOffset > NPY_HEADER_LIMIT) fail(`a header below ${NPY_HEADER_LIMIT} bytes expected, got ${dataOffset}`);
  if (dataOffset > bytes.length)
    fail(`a header of ${dataOffset} bytes expected, got ${bytes.length} bytes in all`, "the file is truncated");

  const header = latin1(headerAt, dataOffset);
  const field = (pattern: RegExp): string | undefined => pattern.exec(header)?.[1];
  const descr = field(/'descr':\s*'([^']*)'/);
  const order = field(/'fortran_order':\s*(True|False)/);
  const shape = field(/'shape':\s*\(([\d,\sL]*)\)/);
  if (order === undefined || shape === undefined)
    fail("a header with 'descr', 'fortran_order' and 'shape' expected", "write it with numpy.save");
  if (descr?.includes("O"))
    fail(
      "numbers expected, got pickled Python objects",
      "pickles can run code and are never read; save a numeric array",
    );
  const dtype = descr === undefined ? undefined : DTYPES[descr];
  if (dtype === undefined) {
    return fail(
      `one of ${Object.keys(DTYPES).join(" ")} expected, got element type "${descr ?? "structured"}"`,
      "convert it with astype",
    );
  }
  if (order === "True") fail("C order expected, got Fortran order", "save numpy.ascontiguousarray(a)");
  const dims = shape
    .split(",")
    .filter((part) => part.trim() !== "")
    .map((part) => Number.parseInt(part, 10));
  const dataBytes = sizeOf(dims) * bytesPerElement(dtype);
  if (!Number.isSafeInteger(dataBytes)) fail(`a size that fits in memory expected, got shape [${dims.join(",")}]`);
  return { dtype, dims, dataOffset, dataBytes };
}

/** Reads a whole `.npy` file. The tensor shares the bytes unless they lie unaligned. Throws: `data.invalid`. */
export function readNpy(bytes: Uint8Array, path: string): Tensor {
  const { dtype, dims, dataOffset, dataBytes } = readNpyHeader(bytes, path);
  if (bytes.length !== dataOffset + dataBytes) {
    const got = `got ${bytes.length}`;
    throw new LimberError(
      "data.invalid",
      `${path}: ${dataOffset + dataBytes} bytes for shape [${dims.join(",")}] expected, ${got}; the file is ${bytes.length < dataOffset + dataBytes ? "truncated" : "damaged"}`,
      { path },
    );
  }
  return { dtype, dims, data: viewAs(dtype, bytes.subarray(dataOffset)) };
}

function viewAs(dtype: NumericDType, bytes: Uint8Array): NumericArray {
  const itemBytes = bytesPerElement(dtype);
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % itemBytes === 0 ? bytes : new Uint8Array(bytes);
  const type = createArray(dtype, 0).constructor as new (
    buffer: ArrayBufferLike,
    offset: number,
    length: number,
  ) => NumericArray;
  return new type(buffer, byteOffset, byteLength / itemBytes);
}

/** Writes a numeric tensor as `.npy` version 1, elements aligned to 64 bytes as NumPy does. Throws: `config.invalid` for 16-bit floats and strings. */
export function writeNpy(tensor: Tensor): Uint8Array {
  const descr = Object.keys(DTYPES).find((key) => DTYPES[key] === tensor.dtype);
  if (descr === undefined)
    throw new LimberError(
      "config.invalid",
      `npy: an integer, bool, float32 or float64 tensor expected, got ${tensor.dtype}`,
    );
  const shape = `(${tensor.dims.join(", ")}${tensor.dims.length === 1 ? "," : ""})`;
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`;
  const dataOffset = Math.ceil((10 + dictionary.length + 1) / 64) * 64;
  const data = tensor.data as NumericArray;
  const bytes = Buffer.alloc(dataOffset + data.byteLength);
  bytes.write(MAGIC, "latin1");
  bytes[6] = 1;
  bytes.writeUInt16LE(dataOffset - 10, 8);
  bytes.write(`${dictionary.padEnd(dataOffset - 11)}\n`, 10, "latin1");
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), dataOffset);
  return plainBytes(bytes);
}
