import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLimberError, sizeOf, tensorOf, toNumbers, type NumericDType } from "../../base/index.js";
import { readNpy, writeNpy } from "./npy.js";

const RANGES: Partial<Record<NumericDType, [number, number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  bool: [0, 1],
  uint16: [0, 65_535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 50), 2 ** 50],
  float32: [-1000, 1000],
  float64: [-(2 ** 53), 2 ** 53],
};
const arrays = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(RANGES) as (keyof typeof RANGES)[])),
    dims: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
  })
  .chain(({ dtype, dims }) => {
    const [min, max] = RANGES[dtype]!;
    const values = fc.array(fc.integer({ min, max }), { minLength: sizeOf(dims), maxLength: sizeOf(dims) });
    return values.map((data) => tensorOf(dtype, dims, data));
  });

/** A file with this header text and no data, as a forger would write it. */
function forge(header: string, version = 1): Uint8Array {
  const bytes = Buffer.alloc(10 + header.length);
  bytes.write("\x93NUMPY", "latin1");
  bytes[6] = version;
  bytes.writeUInt16LE(header.length, 8);
  bytes.write(header, 10, "latin1");
  return bytes;
}

const header = (fields: Partial<Record<"descr" | "order" | "shape", string>>): string =>
  `{'descr': ${fields.descr ?? "'|u1'"}, 'fortran_order': ${fields.order ?? "False"}, 'shape': ${fields.shape ?? "(0,)"}, }\n`;

describe("npy", () => {
  it("reads back what it wrote, for every element type and shape", () => {
    fc.assert(
      fc.property(arrays, (written) => {
        const read = readNpy(writeNpy(written), "a.npy");
        expect(read.dtype).toBe(written.dtype);
        expect(read.dims).toEqual(written.dims);
        expect(toNumbers(read)).toEqual(toNumbers(written));
      }),
      { seed: 1 },
    );
  });

  it("reads elements that lie unaligned in memory", () => {
    const file = writeNpy(tensorOf("float64", [3], [1, -2.5, 1e300]));
    const shifted = new Uint8Array(file.length + 1);
    shifted.set(file, 1);
    expect(toNumbers(readNpy(shifted.subarray(1), "a.npy"))).toEqual([1, -2.5, 1e300]);
  });

  it("shares memory with bytes that are aligned", () => {
    const file = writeNpy(tensorOf("uint8", [2], [1, 2]));
    file[file.length - 1] = 9;
    expect(toNumbers(readNpy(file, "a.npy"))).toEqual([1, 9]);
  });

  it("reads version 2 headers", () => {
    const text = header({ shape: "(2, 1)" });
    const bytes = Buffer.concat([
      Buffer.from("\x93NUMPY\x02\x00", "latin1"),
      Buffer.alloc(4),
      Buffer.from(text),
      Buffer.from([7, 8]),
    ]);
    bytes.writeUInt32LE(text.length, 8);
    const { dims, data } = readNpy(bytes, "a.npy");
    expect({ dims, data: [...data] }).toEqual({ dims: [2, 1], data: [7, 8] });
  });

  it.each([
    ["other bytes", Buffer.from("this is not a NumPy file at all"), /NumPy array expected/],
    ["an empty file", Buffer.alloc(0), /NumPy array expected/],
    ["an unknown version", forge(header({}), 9), /version 1 or 2/],
    ["a cut header", forge(header({})).subarray(0, 30), /truncated/],
    ["cut data", writeNpy(tensorOf("float32", [4], [1, 2, 3, 4])).subarray(0, -1), /truncated/],
    [
      "more data than the shape says",
      Buffer.concat([writeNpy(tensorOf("uint8", [1], [1])), Buffer.alloc(1)]),
      /damaged/,
    ],
    ["pickled objects", forge(header({ descr: "'|O'" })), /never read/],
    ["a structured type", forge(header({ descr: "[('a', '<f4')]" })), /structured/],
    ["a big-endian type", forge(header({ descr: "'>f4'" })), />f4/],
    ["Fortran order", forge(header({ order: "True" })), /ascontiguousarray/],
    ["a header without shape", forge("{'descr': '|u1', 'fortran_order': False}"), /'shape'/],
    ["a shape that fits in no memory", forge(header({ shape: "(4000000000, 4000000000)" })), /fits in memory/],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => readNpy(bytes, "bad.npy")).toThrow(message);
  });

  it("fails only with typed errors on damaged files", () => {
    const file = writeNpy(tensorOf("float32", [2, 3], [1, 2, 3, 4, 5, 6]));
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.nat(255), fc.nat(file.length), (at, value, length) => {
        const damaged = Uint8Array.from(file);
        damaged[at] = value;
        try {
          readNpy(damaged.subarray(0, length), "bad.npy");
        } catch (error) {
          expect(isLimberError(error, "data.invalid")).toBe(true);
        }
      }),
      { seed: 2, numRuns: 500 },
    );
  });
});
