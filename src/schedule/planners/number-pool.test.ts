import { expect, it } from "vitest";
import { NumberPool } from "./number-pool.js";

it("a pool of numbers gives zeros of the length asked for that no other piece shares, also where one is longer than its arrays", () => {
  const pool = new NumberPool();
  const lengths = [3, 0, 70_000, 5, 60_000, 65_536, 1];
  const pieces = lengths.map((length) => pool.take(length));
  expect(pieces.map(({ length }) => length)).toEqual(lengths);
  expect(pieces.every((piece) => piece.every((value) => value === 0))).toBe(true);
  for (const [i, piece] of pieces.entries()) piece.fill(i + 1);
  expect(pieces.every((piece, i) => piece.every((value) => value === i + 1))).toBe(true);
});
