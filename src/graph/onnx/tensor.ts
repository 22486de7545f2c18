import { create } from "@bufbuild/protobuf";
import { type TensorProto, TensorProto_DataLocation, TensorProto_DataType, TensorProtoSchema } from "onnx-buf";
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
} from "../../base/index.js";
import { DTYPE_CODES } from "../ir/index.js";
import { checkLimit, type ReadLimits } from "./limits.js";

/** Gives the bytes of weights kept beside the model file; `location` is relative to its folder. */
export type ExternalData = (location: string, offset: number, length: number) => Uint8Array;

const DTYPES = new Map(Object.entries(DTYPE_CODES).map(([name, code]) => [code as number, name as DType]));

export function readDType(code: number, subject: string): DType {
  const dtype = DTYPES.get(code);
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
  checkLimit(`${subject} ${formatShape(dims)}`, "tensorBytes", limits, count * bytesPerElement(dtype));
  if (!isNumeric(dtype)) return { dtype, dims, data: expectCount(proto.stringData, count, subject) };
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) {
    return { dtype, dims, data: decodeRaw(dtype, count, readExternal(proto, subject, externalData), subject) };
  }
  if (proto.rawData.length > 0) return { dtype, dims, data: decodeRaw(dtype, count, proto.rawData, subject) };
  return { dtype, dims, data: decodeLists(proto, dtype, count, subject) };
}

function readExternal(proto: TensorProto, subject: string, externalData: ExternalData | undefined): Uint8Array {
  const entries = Object.fromEntries(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.location ?? "";
  if (!externalData) {
    const message = `${subject}: weights inside of the model file, got external data "${location}"; allow external data if you trust the file`;
    throw new LimberError("model.external-data", message, { location });
  }
  return externalData(location, Number(entries.offset ?? 0), Number(entries.length ?? -1));
}

/** ONNX stores raw data in little-endian order, as every platform that runs Limber does. */
function decodeRaw(dtype: DType, count: number, raw: Uint8Array, subject: string): NumericArray {
  const data = createArray(dtype, count);
  if (raw.byteLength !== data.byteLength) throw malformed(subject, `${data.byteLength} bytes of data`, raw.byteLength);
  new Uint8Array(data.buffer).set(raw);
  return data;
}

function decodeLists(proto: TensorProto, dtype: DType, count: number, subject: string): NumericArray {
  const data = createArray(dtype, count);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    data.set(expectCount(dtype === "int64" ? proto.int64Data : proto.uint64Data, count, subject));
  } else if (dtype === "float32") data.set(expectCount(proto.floatData, count, subject));
  else if (dtype === "float64") data.set(expectCount(proto.doubleData, count, subject));
  else if (dtype === "uint32") data.set(expectCount(proto.uint64Data, count, subject).map(Number));
  else data.set(expectCount(proto.int32Data, count, subject));
  return data;
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
