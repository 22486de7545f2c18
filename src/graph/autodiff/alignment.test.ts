import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readNpzFile } from "../../../test/helpers/npz.js";
import { relativeDistance } from "../../../test/helpers/parity.js";
import { Random } from "../../base/index.js";
import type { Graph } from "../ir/index.js";
import { Emitter, type ReferenceTensor } from "../ops/index.js";
import { evaluate } from "../reference/index.js";
import {
  type Alignment,
  correlationAlignment,
  maximumMeanDiscrepancy,
  MMD_FORMS,
  pooledFeatures,
} from "./alignment.js";
import { backward } from "./backward.js";

/** Value and gradient, with respect to the target, in float64. */
function evaluateAlignment(
  alignment: Alignment,
  source: ReferenceTensor,
  target: ReferenceTensor,
): { value: number; gradient: Float64Array } {
  const emit = new Emitter(17, ["source", "target"]);
  const inputs = Object.entries({ source, target }).map(
    ([name, { dims }]) => ({ name, dtype: "float32", dims }) as const,
  );
  const [s, t] = inputs.map((input) => emit.value(input.name, input));
  const value = alignment(emit, s!, t!);
  expect(value.dims).toEqual([]);
  const base: Graph = { name: "alignment", inputs, outputs: [], nodes: [], initializers: new Map(), types: new Map() };
  const gradient = backward(emit.appendTo(base), { loss: value.name, wrt: ["target"], emit }).get("target")!;
  const found = evaluate(emit.appendTo(base, [value, gradient]), new Map(Object.entries({ source, target })), {
    opset: 17,
  });
  return { value: found.get(value.name)!.data[0]!, gradient: found.get(gradient.name)!.data };
}

/** Σ over kernels or their mean, against the same with the constant of the unbiased form taken off. */
test.each(["biased", "unbiased"] as const)(
  "MMD with kernels averaged is a fifth of that with five summed: %s",
  (estimator) => {
    const random = new Random(4);
    const [source, target] = [0, 1].map((shift) => matrix([6, 3], () => random.normal() + shift)) as [
      ReferenceTensor,
      ReferenceTensor,
    ];
    const offset = estimator === "biased" ? 0 : 2 / 5;
    const [sum, mean] = (["sum", "mean"] as const).map((kernels) =>
      evaluateAlignment(maximumMeanDiscrepancy({ ...MMD_FORMS.edgevision, estimator, kernels }), source, target),
    );
    expect(mean!.value - offset).toBeCloseTo((sum!.value - offset) / 5, 12);
    expect(
      relativeDistance(
        mean!.gradient.map((g) => 5 * g),
        sum!.gradient,
      ),
    ).toBeLessThan(1e-12);
  },
);

const matrix = (dims: readonly number[], draw: (index: number) => number): ReferenceTensor => ({
  dtype: "float32",
  dims,
  data: Float64Array.from({ length: dims.reduce((a, b) => a * b) }, (_, index) => draw(index)),
});

describe("the official implementations", () => {
  const fixture = readNpzFile(new URL("../../../test/fixtures/methods/alignment.npz", import.meta.url).pathname);
  const cut = (name: string, pair: number, dims: readonly number[]): ReferenceTensor => {
    const { data } = fixture.get(name)!;
    const size = dims.reduce((a, b) => a * b, 1);
    return {
      dtype: "float32",
      dims,
      data: Float64Array.from((data as Float64Array).subarray(pair * size, (pair + 1) * size)),
    };
  };

  test.each([
    ["edgevision.mmd", 1e-12, maximumMeanDiscrepancy(MMD_FORMS.edgevision)],
    ["tllib.mmd", 1e-12, maximumMeanDiscrepancy(MMD_FORMS.tllib)],
    // Its distance of a sample to itself is what rounding leaves, times up to 1000.
    ["domainbed.mmd", 1e-11, maximumMeanDiscrepancy(MMD_FORMS.domainbed)],
    ["tllib.coral", 1e-12, correlationAlignment()],
    ["domainbed.coral", 1e-12, correlationAlignment()],
  ])("of %s are met within %d, their gradients within 1e-10", (name, tolerance, alignment) => {
    for (const pair of [0, 1]) {
      const [source, target] = [cut("source", pair, [16, 64]), cut("target", pair, [16, 64])];
      const { value, gradient } = evaluateAlignment(alignment, source, target);
      expect(Math.abs(value / cut(name, pair, []).data[0]! - 1)).toBeLessThan(tolerance);
      expect(relativeDistance(gradient, cut(`${name}.gradient`, pair, [16, 64]).data)).toBeLessThan(1e-10);
    }
  });
});

describe("a distance between samples", () => {
  const random = new Random(2);
  const source = matrix([12, 3], () => random.normal());
  const shifted = (by: number): ReferenceTensor => ({ ...source, data: source.data.map((v) => v + by) });
  const distances = {
    "biased mmd": maximumMeanDiscrepancy(MMD_FORMS.edgevision),
    "fixed mmd": maximumMeanDiscrepancy(MMD_FORMS.domainbed),
    coral: correlationAlignment(),
  };

  test.each(Object.entries(distances))("%s is 0 for equal ones and grows with a shift of the mean", (_, distance) => {
    const at = (by: number): number => evaluateAlignment(distance, source, shifted(by)).value;
    expect(Math.abs(at(0))).toBeLessThan(1e-12);
    expect(at(0.3)).toBeGreaterThan(1e-3);
    expect(at(0.6)).toBeGreaterThan(at(0.3));
  });

  test("coral without means sees no shift, and is a quarter in the scale of the paper", () => {
    const wide: ReferenceTensor = { ...source, data: source.data.map((v) => 2 * v + 5) };
    const at = (options: Parameters<typeof correlationAlignment>[0], target: ReferenceTensor): number =>
      evaluateAlignment(correlationAlignment(options), source, target).value;
    expect(Math.abs(at({ means: false }, shifted(3)))).toBeLessThan(1e-12);
    expect(at({ means: false, scale: "4d2" }, wide) * 4).toBeCloseTo(at({ means: false }, wide), 12);
  });

  test("takes samples of different sizes, and symmetric ones are symmetric", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 2, max: 6 }), fc.integer(), (n, m, seed) => {
        const draw = new Random(seed);
        const [a, b] = [matrix([n, 4], () => draw.normal()), matrix([m, 4], () => draw.normal(1))];
        for (const distance of Object.values(distances)) {
          const forth = evaluateAlignment(distance, a, b).value;
          expect(forth).toBeCloseTo(evaluateAlignment(distance, b, a).value, 10);
          expect(forth).toBeGreaterThan(-1e-10);
        }
      }),
      { numRuns: 12 },
    );
  });

  test("stays finite where all samples are one", () => {
    const constant = matrix([4, 3], () => 1);
    for (const distance of Object.values(distances)) {
      const { value, gradient } = evaluateAlignment(distance, constant, constant);
      expect(Math.abs(value)).toBeLessThan(1e-12);
      expect([...gradient].every(Number.isFinite)).toBe(true);
    }
  });

  test("sees maps by their mean over places", () => {
    const emit = new Emitter(17, ["maps"]);
    const maps = matrix([2, 3, 2, 2], (index) => index);
    const pooled = pooledFeatures(emit, emit.value("maps", { dtype: "float32", dims: maps.dims }));
    const base: Graph = {
      name: "maps",
      inputs: [{ ...maps, name: "maps", dtype: "float32" }],
      outputs: [],
      nodes: [],
      initializers: new Map(),
      types: new Map(),
    };
    const found = evaluate(emit.appendTo(base, [pooled]), new Map([["maps", maps]]), { opset: 17 }).get(pooled.name)!;
    expect(found.dims).toEqual([2, 3]);
    expect([...found.data]).toEqual([1.5, 5.5, 9.5, 13.5, 17.5, 21.5]);
  });
});
