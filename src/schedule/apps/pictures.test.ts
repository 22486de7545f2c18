import { expect, test } from "vitest";
import { Random } from "../../base/index.js";
import { Pictures } from "./pictures.js";

const pictures = (...values: number[]) => ({
  ...{ dtype: "float32" as const, dims: [values.length, 1, 1, 2] },
  data: Float32Array.from(values.flatMap((value) => [value, -value])),
});

test("forgets the oldest pictures beyond its capacity", () => {
  const seen = new Pictures(3);
  seen.add(pictures(1, 2));
  seen.add(pictures(3, 4));
  expect(seen.latest(9)).toEqual(pictures(2, 3, 4));
  expect(seen.latest(2)).toEqual(pictures(3, 4));
});

test("draws every picture once before any comes twice", () => {
  const seen = new Pictures();
  seen.add(pictures(1, 2, 3));
  const { data, dims } = seen.draw(6, new Random(1));
  expect(dims).toEqual([6, 1, 1, 2]);
  expect([...data].filter((_, i) => i % 2 === 0).sort()).toEqual([1, 1, 2, 2, 3, 3]);
});

test("draws into the same memory, apart from that of the newest pictures", () => {
  const seen = new Pictures();
  seen.add(pictures(1, 2, 3));
  const latest = seen.latest(3);
  const [first, second] = [1, 2].map((seed) => seen.draw(3, new Random(seed)));
  expect(second!.data).toBe(first!.data);
  expect(latest).toEqual(pictures(1, 2, 3));
  expect(seen.draw(2, new Random(1)).dims).toEqual([2, 1, 1, 2]);
});

test("starts anew with pictures of another size, and says where it has none", () => {
  const seen = new Pictures();
  expect(() => seen.latest(1)).toThrow(/pictures to learn from, got none/);
  seen.add(pictures(1));
  seen.add({ dtype: "float32", dims: [1, 1, 1, 3], data: Float32Array.of(7, 8, 9) });
  expect(seen.latest(5).dims).toEqual([1, 1, 1, 3]);
});
