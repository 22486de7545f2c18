import { create } from "@bufbuild/protobuf";
import {
  type SparseTensorProto,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TensorProtoSchema,
} from "onnx-buf";
import {
  bytesOf,
  bytesPerElement,
  createArray,
  type DType,
  formatShape,
  isNumeric,
  LimberError,
  type NumericArray,
  sizeOf,
  type Tensor,
  toNumbers,
} from "../../base/index.js";
import { DTYPE_CODES, findDType } from "../ir/index.js";
import { checkLimit, type ReadLimits } from "./limits.js";

/** Gives the bytes of weights kept beside the model file; `location` is relative to its folder. */
export type ExternalData = (location: string, offset: number, length: number) => Uint8Array;

export function readDType(code: number, subject: string): DType {
  const dtype = findDType(code);
  if (dtype) return dtype;
  const name = TensorProto_DataType[code] ?? String(code);
  throw new LimberError("op.unsupported", `${subject}: an element type that Limber knows, got ${name}`, {
    dataType: name,
  });
}

export interface TensorReader {
  readonly limits: ReadLimits;
  readonly externalData?: ExternalData | undefined;
}

export function readTensor(proto: TensorProto, subject: string, { limits, externalData }: TensorReader): Tensor {
  const dtype = readDType(proto.dataType, subject);
  const dims = proto.dims.map(Number);
  checkLimit(`${subject} rank`, "rank", limits, dims.length);
  if (dims.some((d) => d < 0)) throw malformed(subject, "dims of 0 or more", formatShape(dims));
  const count = sizeOf(dims);
  const sizeBytes = count * bytesPerElement(dtype);
  checkLimit(`${subject} ${formatShape(dims)}`, "tensorBytes", limits, sizeBytes);
  if (!isNumeric(dtype)) return { dtype, dims, data: expectCount(proto.stringData, count, subject) };
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) {
    return {
      dtype,
      dims,
      data: decodeRaw(dtype, count, readExternal(proto, subject, sizeBytes, externalData), subject),
    };
  }
  if (proto.rawData.length > 0) return { dtype, dims, data: decodeRaw(dtype, count, proto.rawData, subject) };
  return { dtype, dims, data: decodeLists(proto, dtype, count, subject) };
}

/** A sparse tensor as a dense one. Indices count the whole tensor, [n], or each axis, [n, rank]. Throws: as `readTensor`. */
export function readSparseTensor(proto: SparseTensorProto, subject: string, reader: TensorReader): Tensor {
  const { values, indices } = proto;
  if (!values || !indices) throw malformed(subject, "values and indices", "none");
  const given = readTensor(values, subject, reader);
  const places = toNumbers(readTensor(indices, `indices of ${subject}`, reader));
  const dims = proto.dims.map(Number);
  checkLimit(`${subject} rank`, "rank", reader.limits, dims.length);
  if (dims.some((d) => d < 0)) throw malformed(subject, "dims of 0 or more", formatShape(dims));
  checkLimit(
    `${subject} ${formatShape(dims)}`,
    "tensorBytes",
    reader.limits,
    sizeOf(dims) * bytesPerElement(given.dtype),
  );
  const width = indices.dims.length === 2 ? dims.length : 1;
  if (places.length !== given.data.length * width)
    throw malformed(subject, `${given.data.length * width} indices`, places.length);
  const dense: Tensor = { dtype: given.dtype, dims, data: createArray(given.dtype, sizeOf(dims)) };
  const [from, to, size] = [bytesOf(given), bytesOf(dense), bytesPerElement(given.dtype)];
  for (let i = 0; i < given.data.length; i++) {
    const path = places.slice(i * width, (i + 1) * width);
    const place = width === 1 ? path[0]! : path.reduce((offset, index, axis) => offset * dims[axis]! + index, 0);
    if (!(place >= 0 && place < dense.data.length))
      throw malformed(subject, `indices below ${dense.data.length}`, place);
    to.set(from.subarray(i * size, (i + 1) * size), place * size);
  }
  return dense;
}

function readExternal(
  proto: TensorProto,
  subject: string,
  sizeBytes: number,
  externalData: ExternalData | undefined,
): Uint8Array {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get("location") ?? "";
  if (!externalData) {
    const message = `${subject}: weights inside of the model file, got external data "${location}"; allow external data if you trust the file`;
    throw new LimberError("model.external-data", message, { location });
  }
  const offset = Number(entries.get("offset") ?? 0);
  if (!Number.isSafeInteger(offset) || offset < 0) throw malformed(subject, "an offset of 0 or more", offset);
  const length = Number(entries.get("length") ?? sizeBytes);
  if (length !== sizeBytes) throw malformed(subject, `${sizeBytes} bytes of external data`, length);
  return externalData(location, offset, length);
}

/** ONNX stores raw data in little-endian order, as every platform that runs Limber does. */
function decodeRaw(dtype: DType, count: number, raw: Uint8Array, subject: string): NumericArray {
  const sizeBytes = count * bytesPerElement(dtype);
  if (raw.byteLength !== sizeBytes) throw malformed(subject, `${sizeBytes} bytes of data`, raw.byteLength);
  const data = createArray(dtype, count);
  new Uint8Array(data.buffer).set(raw);
  return data;
}

/** The count is compared before memory is taken: a file may claim far more than it holds. */
function decodeLists(proto: TensorProto, dtype: DType, count: number, subject: string): NumericArray {
  const list = listOf(proto, dtype);
  expectCount<number | bigint>(list, count, subject);
  const data = createArray(dtype, count);
  const wide = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (let i = 0; i < count; i++) data[i] = wide ? list[i]! : Number(list[i]!);
  return data;
}

/** The field that ONNX stores an element type in when not raw. Source: onnx.proto, TensorProto. */
function listOf(proto: TensorProto, dtype: DType): readonly number[] | readonly bigint[] {
  if (dtype === "float32") return proto.floatData;
  if (dtype === "float64") return proto.doubleData;
  if (dtype === "int64") return proto.int64Data;
  return dtype === "uint64" || dtype === "uint32" ? proto.uint64Data : proto.int32Data;
}

function expectCount<T>(list: readonly T[], count: number, subject: string): readonly T[] {
  if (list.length !== count) throw malformed(subject, `${count} elements`, list.length);
  return list;
}

function malformed(subject: string, expected: string, got: string | number): LimberError {
  return new LimberError("model.malformed", `${subject}: ${expected}, got ${got}; the file is damaged`, { subject });
}

/** Encodes a tensor with its data inside. */
export function writeTensor(name: string, tensor: Tensor): TensorProto {
  const { dtype, dims, data } = tensor;
  const base = { name, dims: dims.map(BigInt), dataType: DTYPE_CODES[dtype] };
  if (!isNumeric(dtype)) {
    return create(TensorProtoSchema, {
      ...base,
      stringData: (data as readonly Uint8Array[]).map((s) => new Uint8Array(s)),
    });
  }
  return create(TensorProtoSchema, { ...base, rawData: bytesOf(tensor) as Uint8Array<ArrayBuffer> });
}
