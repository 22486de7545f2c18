import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sizeOf } from "../../base/index.js";
import { attr, AttributeReader, type Attributes } from "../ir/index.js";
import { broadcastDims, convGeometry, convTransposeGeometry, poolGeometry, resolveSlice } from "./geometry.js";

const reader = (attributes: Attributes): AttributeReader => new AttributeReader(attributes, { op: "Conv", name: "c" });

const window = fc.record({
  size: fc.integer({ min: 6, max: 20 }),
  kernel: fc.integer({ min: 1, max: 4 }),
  stride: fc.integer({ min: 1, max: 4 }),
  dilation: fc.integer({ min: 1, max: 2 }),
  begin: fc.nat(2),
  end: fc.nat(2),
});
type Window = typeof window extends fc.Arbitrary<infer T> ? T : never;

const attributesOf = ({ kernel, stride, dilation, begin, end }: Window): Attributes => ({
  kernel_shape: attr.ints([kernel]),
  strides: attr.ints([stride]),
  dilations: attr.ints([dilation]),
  pads: attr.ints([begin, end]),
});
const reachOf = ({ kernel, dilation }: Window): number => (kernel - 1) * dilation + 1;

/** How many windows a walk over the padded axis places. */
function walk(w: Window, ceil: boolean): number {
  const padded = w.begin + w.size + w.end;
  let count = 0;
  for (let start = 0; ; start += w.stride) {
    const whole = start + reachOf(w) <= padded;
    const leftover = ceil && start - w.stride + reachOf(w) < padded && start < w.begin + w.size;
    if (!whole && !leftover) return count;
    count++;
  }
}

describe("window geometry", () => {
  test("a convolution takes as many windows as a walk over the axis", () => {
    fc.assert(
      fc.property(window, (w) => {
        const { output } = convGeometry(reader(attributesOf(w)), [1, 1, w.size], [1, 1, w.kernel]);
        expect(output).toEqual([walk(w, false)]);
      }),
      { seed: 1 },
    );
  });

  test("ceil_mode adds the window that holds what is left, unless it starts in the end padding", () => {
    fc.assert(
      fc.property(window, (w) => {
        // Pads are below the kernel, as runtimes demand of pools.
        fc.pre(w.begin < reachOf(w) && w.end < reachOf(w) && w.stride <= reachOf(w));
        const { output } = poolGeometry(reader({ ...attributesOf(w), ceil_mode: attr.int(1) }), [1, 1, w.size]);
        expect(output).toEqual([walk(w, true)]);
      }),
      { seed: 2 },
    );
  });

  test.each(["SAME_UPPER", "SAME_LOWER"])(
    "%s covers the axis with ceil(size / stride) windows and the least padding",
    (autoPad) => {
      fc.assert(
        fc.property(window, (w) => {
          const attributes = { ...attributesOf(w), auto_pad: attr.string(autoPad) };
          const { output, padsBegin, padsEnd } = convGeometry(reader(attributes), [1, 1, w.size], [1, 1, w.kernel]);
          expect(output).toEqual([Math.ceil(w.size / w.stride)]);
          expect(padsBegin[0]! + padsEnd[0]!).toBe(Math.max(0, (output[0]! - 1) * w.stride + reachOf(w) - w.size));
          const extra = padsEnd[0]! - padsBegin[0]!;
          expect(autoPad === "SAME_UPPER" ? [0, 1] : [-1, 0]).toContain(extra === 0 ? 0 : extra);
          expect(walk({ ...w, begin: padsBegin[0]!, end: padsEnd[0]! }, false)).toBe(output[0]);
        }),
        { seed: 3 },
      );
    },
  );

  test("a transposed convolution undoes the sizes of a convolution, given the remainder as output padding", () => {
    fc.assert(
      fc.property(window, (w) => {
        const forward = convGeometry(reader(attributesOf(w)), [1, 1, w.size], [1, 1, w.kernel]);
        const remainder = (w.size + w.begin + w.end - reachOf(w)) % w.stride;
        const attributes = { ...attributesOf(w), output_padding: attr.ints([remainder]) };
        const back = convTransposeGeometry(reader(attributes), [1, 1, forward.output[0]!], [1, 1, w.kernel]);
        expect(back.output).toEqual([w.size]);
      }),
      { seed: 4 },
    );
  });

  test("output_shape is met by choosing the pads, whether batch and channels are written or not", () => {
    fc.assert(
      fc.property(window, fc.nat(2), fc.boolean(), (w, pads, full) => {
        const natural = w.stride * (w.size - 1) + reachOf(w);
        const wanted = natural - pads;
        const attributes = { ...attributesOf(w), output_shape: attr.ints(full ? [1, 1, wanted] : [wanted]) };
        const { output, padsBegin, padsEnd } = convTransposeGeometry(
          reader(attributes),
          [1, 1, w.size],
          [1, 1, w.kernel],
        );
        expect([output[0], padsBegin[0]! + padsEnd[0]!]).toEqual([wanted, pads]);
      }),
      { seed: 5 },
    );
  });
});

test("a slice takes the elements that a walk from start towards end meets", () => {
  const bound = fc.integer({ min: -12, max: 12 });
  const step = fc.integer({ min: -4, max: 4 }).filter((s) => s !== 0);
  fc.assert(
    fc.property(fc.nat(8), bound, bound, step, (size, start, end, by) => {
      const { start: from, length } = resolveSlice(size, start, end, by);
      // A start before the first element is clamped to it by ONNX, also when walking down; numpy then takes nothing.
      fc.pre(start >= -size);
      const wrap = (at: number): number => (at < 0 ? at + size : at);
      const walked: number[] = [];
      for (let at = by > 0 ? wrap(start) : Math.min(wrap(start), size - 1); ; at += by) {
        if (by > 0 ? at >= Math.min(wrap(end), size) : at <= Math.max(wrap(end), -1)) break;
        walked.push(at);
      }
      expect(Array.from({ length }, (_, i) => from + i * by)).toEqual(walked);
    }),
    { seed: 6 },
  );
});

describe("broadcasting", () => {
  const target = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });
  const shrunk = (dims: number[]): fc.Arbitrary<number[]> =>
    fc
      .tuple(fc.nat(dims.length), fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }))
      .map(([drop, ones]) => dims.map((d, i) => (ones[i] ? 1 : d)).slice(drop));

  test("the result holds every operand, whatever the order", () => {
    const operands = target.chain((dims) => fc.tuple(shrunk(dims), shrunk(dims), shrunk(dims)));
    fc.assert(
      fc.property(operands, ([a, b, c]) => {
        const dims = broadcastDims(a, b, c);
        expect(broadcastDims(c, a, b)).toEqual(dims);
        expect(broadcastDims(broadcastDims(a, b), c)).toEqual(dims);
        for (const operand of [a, b, c]) expect(broadcastDims(operand, dims)).toEqual(dims);
        expect(sizeOf(dims)).toBeLessThanOrEqual(sizeOf(a) * sizeOf(b) * sizeOf(c));
      }),
      { seed: 7 },
    );
  });

  test("sizes that differ and are not 1 are refused", () => {
    expect(() => broadcastDims([2, 3], [4, 3])).toThrow("shapes that broadcast, got [2,3] and [4,3]");
  });
});
