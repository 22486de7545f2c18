import { describe, expect, test } from "vitest";
import { Random, type Tensor, tensorOf } from "../../base/index.js";
import { type FoundBox, imageEntropies } from "../../vision/index.js";
import type { SignalHead } from "./reading.js";
import { measureReference, signalsOf } from "./signals.js";

const places: SignalHead = { uncertainty: imageEntropies, decode: () => [] };

/** Logits of pictures that a model is more or less sure of. Shapes: [N, K, …]. */
function logits(dims: readonly number[], sureness: number, seed = 1): Tensor {
  const random = new Random(seed);
  const count = dims.reduce((a, b) => a * b);
  return tensorOf(
    "float32",
    dims,
    Array.from({ length: count }, () => sureness * random.normal()),
  );
}

describe.each([
  ["classification", [50, 5]],
  ["segmentation", [10, 5, 4, 4]],
] as const)("signals of %s", (task, dims) => {
  const source = logits(dims, 4);
  const reference = measureReference(task, places, [
    { output: source, neighbour: logits(dims, 4, 2), score: 0.6 },
    { output: source, neighbour: source, score: 0.8 },
  ]);

  test("tell the source's own score, and no distance, at the source", () => {
    [0.6, 0.8].forEach((score, level) => {
      const signals = signalsOf({ output: source }, places, reference, level);
      expect(signals).toEqual(reference.levels[level]!.signals);
      expect(signals.atc).toBeCloseTo(score, 2);
      expect(signals.distance).toBe(0);
    });
  });

  test("tell less where the model is less sure, and a distance", () => {
    const sure = signalsOf({ output: source }, places, reference, 1);
    const unsure = signalsOf({ output: logits(dims, 1.5) }, places, reference, 1);
    expect(unsure.confidence).toBeLessThan(sure.confidence - 0.1);
    expect(unsure.entropy).toBeGreaterThan(sure.entropy + 0.1);
    expect(unsure.atc).toBeLessThan(sure.atc - 0.1);
    expect(unsure.distance).toBeGreaterThan(0.3);
  });

  test("tell how far the neighbour agrees, and without one how far it does at the source", () => {
    expect(signalsOf({ output: source, neighbour: source }, places, reference, 0).agreement).toBe(1);
    const chance = signalsOf({ output: source }, places, reference, 0).agreement;
    expect(chance).toBeGreaterThan(0.05);
    expect(chance).toBeLessThan(0.4);
  });

  test("tell of a model that sees one class everywhere", () => {
    const [pictures, classes, ...rest] = dims;
    const area = rest.reduce((a: number, b) => a * b, 1);
    const one = Array.from({ length: pictures * classes * area }, (_, i) =>
      Math.floor(i / area) % classes === 0 ? 9 : 0,
    );
    const signals = signalsOf({ output: tensorOf("float32", dims, one) }, places, reference, 0);
    expect(signals.marginalEntropy).toBeLessThan(0.01);
    expect(signals.confidence).toBeGreaterThan(0.99);
    expect(reference.levels[0]!.signals.marginalEntropy).toBeGreaterThan(0.9);
  });

  test("are numbers for predictions that are none", () => {
    const broken = tensorOf("float32", dims, new Array<number>(source.data.length).fill(NaN));
    const signals = signalsOf({ output: broken, neighbour: source }, places, reference, 0);
    expect(Object.values(signals).every(Number.isFinite)).toBe(true);
    expect(signals).toMatchObject({ confidence: 0, entropy: 1, atc: 0 });
  });

  test("survive a reference kept as JSON", () => {
    const kept = JSON.parse(JSON.stringify(reference)) as typeof reference;
    expect(signalsOf({ output: source }, places, kept, 1)).toEqual(signalsOf({ output: source }, places, reference, 1));
  });
});

describe("signals of detection", () => {
  const box = (score: number, at = 0, label = 0): FoundBox => ({ score, label, corners: [at, 0, at + 10, 10] });
  /** Outputs that only say which of the lists below they stand for. */
  const output = (which: number, pictures: number): Tensor =>
    tensorOf("float32", [pictures, 1], new Array<number>(pictures).fill(which));
  const found: readonly (readonly (readonly FoundBox[])[])[] = [
    [[box(0.9), box(0.8, 30, 1)], [box(0.7)], [box(0.6), box(0.5, 30), box(0.5, 60, 1)]],
    [[box(0.9)], [], [box(0.3, 2)]],
    [[], [], []],
    [[box(0.8, 2), box(0.8, 50, 1)], [box(0.7, 0, 1)], []],
  ];
  const head: SignalHead = {
    uncertainty: ({ dims }) => new Float64Array(dims[0]!).fill(0.1),
    decode: ({ data }) => found[Number(data[0])]!,
  };
  const reference = measureReference("detection", head, [{ output: output(0, 3), score: 0.5 }]);
  const signalsFor = (which: number, neighbour?: number) =>
    signalsOf(
      { output: output(which, 3), neighbour: neighbour === undefined ? undefined : output(neighbour, 3) },
      head,
      reference,
      0,
    );

  test("count boxes against those that the source's pictures have", () => {
    // scores add up to 4 in three pictures; two of them lie at or above the threshold
    expect(reference.levels[0]).toMatchObject({ thingsPerPicture: 4 / 3, threshold: 0.8 });
    expect(signalsFor(0)).toMatchObject({ atc: 0.5, confidence: (0.9 + 0.8 + 0.7 + 0.6) / 4 });
    expect(signalsFor(1)).toMatchObject({ atc: 0.25, confidence: (0.9 + 0.3) / 4 });
    expect(signalsFor(2)).toMatchObject({ atc: 0, confidence: 0, marginalEntropy: 1 });
  });

  test("agree as far as boxes of one class overlap, by their scores", () => {
    expect(signalsFor(0, 0).agreement).toBeCloseTo(1, 12);
    expect(signalsFor(2, 2).agreement).toBe(1);
    expect(signalsFor(0, 2).agreement).toBe(0);
    expect(signalsFor(0, 3).agreement).toBeCloseTo((0.9 + 0.8) / (4 + 2.3), 12);
  });
});

describe("a reference", () => {
  const output = logits([4, 3], 2);
  const features = tensorOf("float32", [4, 2, 1, 2], [0, 2, 5, 5, 1, 3, 5, 5, 2, 4, 5, 5, 3, 5, 5, 5]);
  const reference = measureReference("classification", places, [{ output, features, score: 0 }]);

  test("holds features by their mean over places, and measures distances in the source's deviations", () => {
    expect(reference.levels[0]!.means).toEqual([2.5, 5]);
    const moved = tensorOf("float32", [4, 2], [3.5, 5, 4.5, 5, 5.5, 5, 6.5, 5]);
    const { distance } = signalsOf({ output, features: moved }, places, reference, 0);
    const variance = 1.25;
    expect(distance).toBeCloseTo(Math.sqrt(2.5 ** 2 / (variance + (0.01 * variance) / 2) / 2), 6);
  });

  test("believes nothing at a level that is never right", () => {
    expect(signalsOf({ output, features }, places, reference, 0).atc).toBe(0);
  });

  test("refuses features of another width, levels that it has not, and no pictures", () => {
    const other = tensorOf("float32", [4, 3], new Array<number>(12).fill(0));
    expect(() => signalsOf({ output, features: other }, places, reference, 0)).toThrow(
      /2 features as at the source, got 3/,
    );
    expect(() => signalsOf({ output }, places, reference, 1)).toThrow(/a level from 0 to 0, got 1/);
    const none = tensorOf("float32", [0, 3], []);
    expect(() => measureReference("classification", places, [{ output: none, score: 1 }])).toThrow(
      /one picture at least/,
    );
  });
});
