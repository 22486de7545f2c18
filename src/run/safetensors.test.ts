import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createArray, type DType, isLimberError, type NumericDType, sizeOf } from "../base/index.js";
import { readTensorFile, type TensorFile, writeTensorFile } from "./safetensors.js";
import type { RunTensor } from "./session.js";

const DTYPES: readonly NumericDType[] = [
  ...(["float32", "float64", "float16", "bfloat16", "bool"] as const),
  ...(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"] as const),
];

/** Any bytes are values of any type; the array may be a view into the middle of its memory. */
const anyTensor: fc.Arbitrary<RunTensor> = fc
  .tuple(
    fc.constantFrom(...DTYPES),
    fc.array(fc.nat(4), { maxLength: 4 }),
    fc.infiniteStream(fc.nat(255)),
    fc.boolean(),
  )
  .map(([dtype, dims, values, view]) => {
    const whole = createArray(dtype, sizeOf(dims) + 2);
    const data = view ? whole.subarray(1, whole.length - 1) : whole.slice(2);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    bytes.set([...values.take(bytes.length)]);
    return { dtype, dims, data };
  });
const anyFile: fc.Arbitrary<TensorFile> = fc
  .tuple(
    fc.array(fc.tuple(fc.string({ unit: "grapheme" }), anyTensor), { maxLength: 4 }),
    fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
  )
  .map(([tensors, metadata]) => ({ tensors: new Map(tensors), metadata }));

const bytesOf = ({ dtype, dims, data }: RunTensor) => ({
  dtype: dtype satisfies DType,
  dims,
  bytes: [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)],
});
const plain = ({ tensors, metadata }: TensorFile) => ({
  tensors: Object.fromEntries([...tensors].map(([name, t]) => [name, bytesOf(t)])),
  metadata: { ...metadata },
});

/** A file of any header, sealed as the format asks. */
function fileOf(header: unknown, dataBytes = 8): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}
const good = { dtype: "F32", shape: [2], data_offsets: [0, 8] };

describe("tensor files", () => {
  test("give back names, types, shapes, bytes and metadata", () => {
    const property = fc.property(anyFile, (file) => {
      expect(plain(readTensorFile(writeTensorFile(file)))).toEqual(plain(file));
    });
    fc.assert(property, { seed: 7, numRuns: 50 });
  });

  test("keep names that mean something to JavaScript", () => {
    const value = { dtype: "float32", dims: [1], data: Float32Array.of(3) } as const;
    const tensors = new Map(["__proto__", "constructor", "10", ""].map((name) => [name, value]));
    expect(new Set(readTensorFile(writeTensorFile({ tensors, metadata: {} })).tensors.keys())).toEqual(
      new Set(tensors.keys()),
    );
  });

  test("start their data at a multiple of eight bytes", () => {
    const data = Float64Array.of(1.5);
    const bytes = writeTensorFile({ tensors: new Map([["a", { dtype: "float64", dims: [], data }]]), metadata: {} });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    expect(new Float64Array(bytes.buffer, 8 + length)).toEqual(data);
  });

  test("that were cut short are damaged, wherever the cut is", () => {
    const value = { dtype: "float32", dims: [3], data: Float32Array.of(1, 2, 3) } as const;
    const bytes = writeTensorFile({ tensors: new Map([["a", value]]), metadata: { note: "x" } });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => readTensorFile(bytes.subarray(0, length)), `${length} bytes`).toThrow(
        expect.toSatisfy((e) => isLimberError(e, "data.invalid")),
      );
    }
  });

  test.each([
    ["no JSON", "{"],
    ["null", null],
    ["a list", []],
    ["a number", 3],
    ["an entry that is null", { a: null }],
    ["an entry without offsets", { a: { dtype: "F32", shape: [2] } }],
    ["an unknown element type", { a: { ...good, dtype: "F7" } }],
    ["a shape that needs more bytes", { a: { ...good, shape: [3] } }],
    ["a shape that would need all memory", { a: { ...good, shape: [2 ** 40, 2 ** 10] } }],
    ["a negative shape", { a: { ...good, shape: [-1, -2] } }],
    ["offsets that are not whole", { a: { ...good, data_offsets: [0.5, 8.5] } }],
    ["offsets before the data", { a: { ...good, data_offsets: [-8, 0] } }],
    ["offsets behind the end", { a: { ...good, data_offsets: [8, 16] } }],
    ["offsets in the wrong order", { a: { ...good, data_offsets: [8, 0] } }],
    ["metadata of another form", { __metadata__: { note: 3 }, a: good }],
  ])("whose header is or has %s are damaged", (_, header) => {
    expect(() => readTensorFile(fileOf(header))).toThrow(expect.toSatisfy((e) => isLimberError(e, "data.invalid")));
  });

  test("whose header claims to be longer than memory are damaged", () => {
    const bytes = fileOf({ a: good });
    bytes.fill(255, 0, 8);
    expect(() => readTensorFile(bytes)).toThrow(expect.toSatisfy((e) => isLimberError(e, "data.invalid")));
  });

  test("with any one byte changed are read or damaged, nothing else", () => {
    const bytes = fileOf({ __metadata__: { a: "b" }, a: good });
    const property = fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
      const changed = bytes.slice();
      changed[at] = value;
      try {
        readTensorFile(changed);
      } catch (error) {
        expect(isLimberError(error, "data.invalid"), String(error)).toBe(true);
      }
    });
    fc.assert(property, { seed: 3, numRuns: 300 });
  });
});
