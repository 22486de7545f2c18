import fc from "fast-check";
import { expect, test } from "vitest";
import { packMessage, unpackMessage } from "./message.js";

const numbers = fc.oneof(
  fc.float32Array({ maxLength: 5 }),
  fc.float64Array({ maxLength: 5 }),
  fc.uint8Array({ maxLength: 5 }),
  fc.int32Array({ maxLength: 5 }),
  fc.bigInt64Array({ maxLength: 5 }),
);

test("a message comes back with its arrays, to the bit, and its maps", () => {
  const message = fc.record({
    id: fc.nat(),
    text: fc.string({ unit: "grapheme" }),
    arrays: fc.array(fc.record({ dims: fc.array(fc.nat(), { maxLength: 3 }), data: numbers }), { maxLength: 3 }),
    named: fc.array(fc.tuple(fc.string(), numbers), { maxLength: 3 }).map((entries) => new Map(entries)),
  });
  fc.assert(
    fc.property(message, (given) => {
      expect(unpackMessage(packMessage(given).buffer)).toEqual(given);
    }),
    { numRuns: 50 },
  );
});

test("a view of a part of other memory is packed as what it shows, and a Buffer as its bytes", () => {
  const shown = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  const found = unpackMessage(packMessage({ shown, bytes: Buffer.from([7, 8]) }).buffer);
  expect(found).toEqual({ shown: Float32Array.of(2, 3), bytes: Uint8Array.of(7, 8) });
});
