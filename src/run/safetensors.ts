import { z } from "zod";
import { bytesPerElement, createArray, type DType, LimberError, sizeOf } from "../base/index.js";
import type { RunTensor } from "./session.js";

const NAMES = {
  float32: "F32",
  float64: "F64",
  float16: "F16",
  bfloat16: "BF16",
  int8: "I8",
  uint8: "U8",
  int16: "I16",
  uint16: "U16",
  int32: "I32",
  uint32: "U32",
  int64: "I64",
  uint64: "U64",
  bool: "BOOL",
} as const satisfies Partial<Record<DType, string>>;
const DTYPES = new Map(Object.entries(NAMES).map(([dtype, name]) => [name as string, dtype as keyof typeof NAMES]));

export interface TensorFile {
  readonly tensors: ReadonlyMap<string, RunTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const count = z.int().min(0);
const entrySchema = z.object({ dtype: z.string(), shape: z.array(count), data_offsets: z.tuple([count, count]) });
const metadataSchema = z.record(z.string(), z.string());
const METADATA = "__metadata__";

/** Writes named tensors in the safetensors format. Source: https://huggingface.co/docs/safetensors. */
export function writeTensorFile({ tensors, metadata }: TensorFile): Uint8Array {
  const header: [string, unknown][] = [[METADATA, metadata]];
  let end = 0;
  for (const [name, { dtype, dims, data }] of tensors) {
    const start = end;
    end += data.byteLength;
    header.push([name, { dtype: NAMES[dtype as keyof typeof NAMES], shape: dims, data_offsets: [start, end] }]);
  }
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const padded = Math.ceil(text.length / 8) * 8; // data start aligned, as the format advises
  const bytes = new Uint8Array(8 + padded + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.fill(0x20, 8, 8 + padded);
  bytes.set(text, 8);
  let offset = 8 + padded;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}

/** Reads a safetensors file. Throws: `data.invalid` for a damaged one. */
export function readTensorFile(bytes: Uint8Array): TensorFile {
  const { header, start } = readHeader(bytes);
  const { [METADATA]: metadata = {}, ...entries } = header;
  const tensors = new Map<string, RunTensor>();
  for (const [name, value] of Object.entries(entries)) {
    const entry = parsePart(entrySchema, value, `tensor "${name}"`);
    const { shape: dims } = entry;
    const dtype = DTYPES.get(entry.dtype);
    const [from, to] = entry.data_offsets;
    const fits = dtype && sizeOf(dims) * bytesPerElement(dtype) === to - from && start + to <= bytes.length;
    if (!fits) throw damaged(`tensor "${name}"`);
    const data = createArray(dtype, sizeOf(dims));
    new Uint8Array(data.buffer).set(bytes.subarray(start + from, start + to));
    tensors.set(name, { dtype, dims, data });
  }
  return { tensors, metadata: parsePart(metadataSchema, metadata, "metadata") };
}

function readHeader(bytes: Uint8Array): { header: Readonly<Record<string, unknown>>; start: number } {
  if (bytes.length < 8) throw damaged("header");
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  if (length > bytes.length - 8) throw damaged("header");
  try {
    const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    if (typeof header === "object" && header !== null && !Array.isArray(header))
      return { header: { ...header }, start: 8 + length };
  } catch (cause) {
    throw damaged("header", cause);
  }
  throw damaged("header");
}

function parsePart<T>(schema: z.ZodType<T>, value: unknown, part: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw damaged(part, parsed.error);
}

const damaged = (part: string, cause?: unknown): LimberError =>
  new LimberError("data.invalid", `safetensors ${part}: readable, got damaged or truncated bytes`, {}, { cause });
