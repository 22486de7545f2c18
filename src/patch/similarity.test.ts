import { describe, expect, test } from "vitest";
import { Random, type Tensor } from "../base/index.js";
import type { RunTensor } from "../run/node.js";
import { correlationMacs, poolMaps, SIMILARITIES, similarityMatrix } from "./similarity.js";

const noise = (n: number, c: number, seed: number): RunTensor => {
  const random = new Random(seed);
  return { dtype: "float64", dims: [n, c], data: Float64Array.from({ length: n * c }, () => random.normal()) };
};
const change = (x: RunTensor, to: (value: number, at: number) => number): RunTensor => ({
  ...x,
  data: Float64Array.from(x.data as Float64Array, to),
});

/** x · Q, a product of Givens rotations: orthogonal. */
function rotated(x: RunTensor, seed: number): RunTensor {
  const random = new Random(seed);
  const [n, c] = x.dims as [number, number];
  const data = Float64Array.from(x.data as Float64Array);
  for (let turn = 0; turn < 4 * c; turn++) {
    const [a, b] = random.shuffled([...Array(c).keys()]) as [number, number];
    const angle = random.uniform(0, 6);
    for (let i = 0; i < n; i++) {
      const [u, v] = [data[i * c + a]!, data[i * c + b]!];
      data[i * c + a] = Math.cos(angle) * u - Math.sin(angle) * v;
      data[i * c + b] = Math.sin(angle) * u + Math.cos(angle) * v;
    }
  }
  return { ...x, data };
}

/** By the definition: ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖) of centred columns. */
function ckaByColumns(a: RunTensor, b: RunTensor): number {
  const columns = ({ dims, data }: Tensor): number[][] => {
    const [n, c] = dims as [number, number];
    return Array.from({ length: c }, (_, k) => {
      const column = Array.from({ length: n }, (_, i) => Number(data[i * c + k]));
      const mean = column.reduce((s, v) => s + v, 0) / n;
      return column.map((value) => value - mean);
    });
  };
  const crossed = (x: number[][], y: number[][]): number =>
    x.flatMap((p) => y.map((q) => p.reduce((s, v, i) => s + v * q[i]!, 0) ** 2)).reduce((s, v) => s + v, 0);
  const [x, y] = [columns(a), columns(b)];
  return crossed(x, y) / Math.sqrt(crossed(x, x) * crossed(y, y));
}

describe("linear CKA", () => {
  const { cka } = SIMILARITIES;
  const x = noise(40, 8, 1);
  const mixed = change(x, (value, at) => value + (x.data as Float64Array)[(at * 7) % 320]!);

  test("is 1 with itself, turned, shifted, scaled, and for copies of channels", () => {
    expect(cka(x, x)).toBeCloseTo(1, 12);
    expect(cka(x, rotated(x, 2))).toBeCloseTo(1, 12);
    expect(
      cka(
        x,
        change(x, (value) => -3 * value + 5),
      ),
    ).toBeCloseTo(1, 12);
    expect(
      cka(
        mixed,
        rotated(
          change(x, (value) => 1e-3 * value),
          3,
        ),
      ),
    ).toBeCloseTo(cka(mixed, x), 12);
  });

  test("is what its definition by columns says, whichever is larger, n or C", () => {
    for (const [n, a, b] of [
      [40, 8, 5],
      [12, 30, 50],
    ] as const) {
      const [first, second] = [noise(n, a, 4), noise(n, b, 5)];
      expect(cka(first, second)).toBeCloseTo(ckaByColumns(first, second), 12);
      expect(cka(first, second)).toBeCloseTo(cka(second, first), 15);
    }
    expect(cka(x, mixed)).toBeCloseTo(ckaByColumns(x, mixed), 12);
  });

  test("is near 0 for independent noise of many images, near 1 for few", () => {
    expect(cka(noise(400, 4, 6), noise(400, 4, 7))).toBeLessThan(0.03);
    expect(cka(noise(4, 200, 6), noise(4, 200, 7))).toBeGreaterThan(0.8);
  });

  test("what is constant or not finite is like nothing, itself included", () => {
    for (const value of [1, NaN, Infinity])
      expect(
        cka(
          x,
          change(x, () => value),
        ),
      ).toBe(0);
    expect(
      cka(
        change(x, () => 0.1),
        change(x, () => 0.1),
      ),
    ).toBe(0);
  });

  test("refuses features of different images", () => {
    expect(() => cka(x, noise(39, 8, 1))).toThrow(/the same images, got \[40,8\] and \[39,8\]/);
  });
});

describe("other measures", () => {
  const { rsa, cosine } = SIMILARITIES;
  const x = noise(40, 8, 1);

  test("distances between images survive turning, shifting and scaling; noise has none in common", () => {
    expect(
      rsa(
        x,
        rotated(
          change(x, (value) => 2 * value - 1),
          2,
        ),
      ),
    ).toBeCloseTo(1, 6);
    expect(rsa(x, noise(40, 8, 9))).toBeLessThan(0.2);
    expect(
      rsa(
        x,
        change(x, () => 1),
      ),
    ).toBe(0);
    expect(
      rsa(
        x,
        change(x, () => NaN),
      ),
    ).toBe(0);
  });

  test("ranks of tied distances are shared: three points of a line against two of them in one place", () => {
    const line = (...places: number[]): RunTensor => ({
      dtype: "float64",
      dims: [3, 1],
      data: Float64Array.from(places),
    });
    // squared distances 1, 9, 4 rank 0, 2, 1; 0, 9, 9 rank 0, 1.5, 1.5: the correlation is 1.5 / sqrt(2 · 1.5)
    expect(rsa(line(0, 1, 3), line(0, 0, 3))).toBeCloseTo(1.5 / Math.sqrt(3), 12);
  });

  test("gradients that point the same way are alike, opposite and other ones are not", () => {
    expect(
      cosine(
        x,
        change(x, (value) => 7 * value),
      ),
    ).toBeCloseTo(1, 12);
    expect(
      cosine(
        x,
        change(x, (value) => -value),
      ),
    ).toBe(0);
    expect(cosine(x, noise(8, 40, 1))).toBe(0);
    const pair = (a: number, b: number): RunTensor => ({ dtype: "float32", dims: [2], data: Float32Array.of(a, b) });
    expect(cosine(pair(1, 0), pair(1, 1))).toBeCloseTo(Math.SQRT1_2, 7);
  });
});

describe("similarityMatrix", () => {
  const [a, b, c] = [noise(30, 4, 1), noise(30, 4, 2), noise(30, 6, 3)];
  const models = [
    new Map([
      [0, a],
      [1, b],
    ]),
    new Map([
      [0, a],
      [1, c],
    ]),
    new Map([[2, c]]),
  ];

  test("is the mean over the groups in common, symmetric, 1 on the diagonal", () => {
    const matrix = similarityMatrix(models);
    expect(matrix[0]![1]).toBeCloseTo((1 + SIMILARITIES.cka(b, c)) / 2, 12);
    expect(matrix[1]![0]).toBe(matrix[0]![1]);
    expect(matrix.map((row, i) => row[i])).toEqual([1, 1, 1]);
    expect(matrix[0]![2]).toBe(0);
  });

  test("weighs groups", () => {
    expect(similarityMatrix(models, { weights: new Map([[0, 3]]) })[0]![1]).toBeCloseTo(1, 12);
    const weights = new Map([
      [0, 3],
      [1, 1],
    ]);
    expect(similarityMatrix(models, { weights })[0]![1]).toBeCloseTo((3 + SIMILARITIES.cka(b, c)) / 4, 12);
    expect(similarityMatrix(models, { measure: "rsa", weights: new Map([[0, 1]]) })[1]![0]).toBeCloseTo(1, 12);
  });

  test("its cost counts kernels and pairs", () => {
    expect(correlationMacs(models.slice(0, 2))).toBe(900 * (4 + 4 + 4 + 6) + 2 * 900);
    expect(correlationMacs([])).toBe(0);
  });
});

describe("poolMaps", () => {
  test("averages the places of maps and of tokens", () => {
    const data = Float32Array.of(1, 3, 10, 30, 2, 4, 20, 40);
    expect(poolMaps({ dtype: "float32", dims: [2, 2, 1, 2], data })).toEqual({
      dtype: "float64",
      dims: [2, 2],
      data: Float64Array.of(2, 20, 3, 30),
    });
    expect(poolMaps({ dtype: "float32", dims: [2, 2, 2], data }, "tokens").data).toEqual(
      Float64Array.of(5.5, 16.5, 11, 22),
    );
    expect(poolMaps({ dtype: "float32", dims: [4, 2], data }).data).toEqual(Float64Array.from(data));
  });
});
