import { describe, expect, test } from "vitest";
import { LossGraph } from "../../../test/helpers/loss-graph.js";
import { Random, sizeOf, tensorOf } from "../../base/index.js";
import { type ReferenceTensor, toReference } from "../ops/index.js";
import type { Loss } from "./losses.js";
import { cellBoxes, focalBoxes, priorBoxes } from "./losses-boxes.js";

const random = new Random(8);
const [K, P] = [3, 12];
const draw = (dims: readonly number[], value: () => number): ReferenceTensor =>
  toReference(tensorOf("float32", dims, Array.from({ length: sizeOf(dims) }, value)));

/** Targets by rows: `fill` writes those of each place from its label, or -1 (nothing) or -2 (does not count). */
function targetsOf(dims: readonly number[], fill: (set: (row: number, value: number) => void, label: number) => void) {
  const data = new Float64Array(sizeOf(dims));
  const places = sizeOf(dims.slice(2));
  for (let n = 0; n < dims[0]!; n++) {
    for (let place = 0; place < places; place++) {
      const label = place % 4 === 1 ? (place + n) % K : place % 5 === 2 ? -2 : -1;
      fill((row, value) => (data[(n * dims[1]! + row) * places + place] = value), label);
    }
  }
  return tensorOf("float32", dims, data);
}

const centre = { dims: [2, 4 + K, P], loss: focalBoxes() };
const prior = { dims: [2, 5 + K, P], loss: priorBoxes({ negatives: 1 }) };
const cell = { dims: [2, 5 + K, 3, 4], loss: cellBoxes };

const centreTargets = targetsOf(centre.dims, (set, label) => {
  if (label >= 0) for (let row = 0; row < 4; row++) set(row, random.uniform(0.2, 2));
  for (let k = 0; k < K; k++) set(4 + k, label === -2 ? -1 : label === k ? 1 : 0);
});
const priorTargets = targetsOf(prior.dims, (set, label) => {
  if (label >= 0) for (let row = 0; row < 4; row++) set(row, random.normal(0, 2));
  if (label !== -2) set(5 + label, 1);
});
const cellTargets = targetsOf(cell.dims, (set, label) => {
  set(0, label === -2 ? -1 : label >= 0 ? 1 : 0);
  if (label < 0) return;
  [0.4 - random.uniform(0.2, 1), 0.6 - random.uniform(0.2, 1), 1.1, 1.4].forEach((edge, i) => set(1 + i, edge));
  set(5 + label, 1);
});
const probable = (dims: readonly number[]): ReferenceTensor => {
  const drawn = draw(dims, () => random.uniform(0.05, 0.95));
  return { ...drawn, dtype: "float32" };
};

describe.each([
  ["focal boxes", centre, centreTargets, draw(centre.dims, () => random.normal())],
  ["prior boxes", prior, priorTargets, draw(prior.dims, () => random.normal(0, 2))],
  ["cell boxes", cell, cellTargets, probable(cell.dims)],
] as const)("%s", (_, { dims, loss }, targets, output) => {
  const graph = new LossGraph(loss, output, targets);
  const places = sizeOf(dims.slice(2));

  test("have the gradient that central differences give", () => {
    const { gradient } = graph.at();
    for (let check = 0; check < 3; check++) {
      const direction = output.data.map(() => random.normal());
      const lossAt = (t: number): number =>
        graph.at({ ...output, data: output.data.map((v, i) => v + t * direction[i]!) }).loss;
      const exact = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      expect(Math.abs(exact)).toBeGreaterThan(0);
      expect(Math.abs((lossAt(1e-6) - lossAt(-1e-6)) / 2e-6 - exact) / Math.abs(exact)).toBeLessThan(1e-6);
    }
  });

  test("are finite, and so is their gradient, where there are no objects", () => {
    const empty = tensorOf("float32", dims, new Float64Array(sizeOf(dims)));
    const { loss: value, gradient } = new LossGraph(loss, output, empty).at();
    expect(Number.isFinite(value)).toBe(true);
    expect(gradient.every(Number.isFinite)).toBe(true);
  });

  test("teach nothing where a place does not count", () => {
    const { gradient } = graph.at();
    const ignored = gradient.filter((g, i) => (i % places) % 5 === 2 && (i % places) % 4 !== 1 && g !== 0);
    expect(ignored).toHaveLength(0);
    expect(gradient.filter((g) => g !== 0).length).toBeGreaterThan(K * 4);
  });
});

describe("by hand", () => {
  /** softplus⁻¹ */
  const raw = (distance: number): number => Math.log(Math.expm1(distance));
  const lossOf = (
    loss: Loss,
    dims: readonly number[],
    output: readonly number[],
    targets: readonly number[],
  ): number => {
    const tensor = toReference(tensorOf("float64", dims, output));
    return new LossGraph(loss, { ...tensor, dtype: "float32" }, tensorOf("float32", dims, targets)).at().loss;
  };
  const focal = (output: readonly number[], targets: readonly number[]): number =>
    lossOf(focalBoxes(), [1, 5, 1], output, targets);

  test("a box beside the right one costs 1 - GIoU", () => {
    // 2 × 2 against 2 × 1 in it: IoU 1/2, the hull is the union
    const output = [raw(1), raw(1), raw(1), raw(1), 40];
    expect(focal(output, [1, 1, 1, 1e-9, 1])).toBeCloseTo(0.5, 6);
    expect(focal(output, [1, 1, 1, 1, 1])).toBeCloseTo(0, 6);
  });

  test("a class that is as likely as not costs α · ¼ · ln 2", () => {
    const output = [raw(1), raw(1), raw(1), raw(1), 0];
    expect(focal(output, [1, 1, 1, 1, 1])).toBeCloseTo((0.25 * Math.LN2) / 4, 6);
    expect(focal(output, [0, 0, 0, 0, 0])).toBeCloseTo((0.75 * Math.LN2) / 4, 6);
  });

  test("of priors without an object only the hardest count, three for each with one", () => {
    // one object at the first prior; logits of the background are 0, of the class the number given
    const logits = [0, 1, 2, 3, -4, -5];
    const output = [...Array<number>(30).fill(0), ...logits];
    const targets = [...Array<number>(24).fill(0), 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
    const softplus = (x: number): number => Math.log1p(Math.exp(x));
    const expected = Math.LN2 + softplus(1) + softplus(2) + softplus(3);
    expect(lossOf(priorBoxes(), [1, 6, 6], output, targets)).toBeCloseTo(expected, 6);
  });
});
