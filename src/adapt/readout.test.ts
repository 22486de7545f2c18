import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { maxDifference } from "../../test/helpers/parity.js";
import { foldedNetwork, tinyNetwork } from "../../test/helpers/tiny.js";
import { Random, tensorOf, zeros } from "../base/index.js";
import { attr, evaluate } from "../graph/index.js";
import { CorrelationCheck } from "./correlation.js";
import { CollapseGuard } from "./guard.js";
import { findHead } from "./head.js";
import { affinityOf, agree } from "./laplacian.js";
import { centroidLabels } from "./pseudo-labels.js";
import { type Matrix, matrixOfRows, rowOf } from "./rows.js";

const matrix = (rows: readonly (readonly number[])[]): Matrix =>
  matrixOfRows(
    rows.map((row) => Float64Array.from(row)),
    rows[0]!.length,
  );
const rowsOf = (m: Matrix): number[][] => Array.from({ length: m.rows }, (_, i) => [...rowOf(m, i)]);

describe("the head of a classifier", () => {
  const [D, K] = [3, 2];
  const weight = tensorOf("float32", [K, D], [1, 2, 3, 4, 5, 6]);
  const columns = tensorOf("float32", [D, K], [1, 4, 2, 5, 3, 6]);
  const bias = tensorOf("float32", [K], [0.5, -1]);
  const gemm = (attributes: Parameters<typeof node>[3], stored: typeof weight) =>
    modelOf({
      inputs: { x: ["batch", D] },
      outputs: { y: ["batch", K] },
      initializers: { w: stored, b: bias },
      nodes: [node("Relu", ["x"], ["z"]), node("Gemm", ["z", "w", "b"], ["y"], attributes)],
    });
  const forms = {
    "a Gemm of rows": gemm({ transB: attr.int(1) }, weight),
    "a Gemm of columns": gemm({}, columns),
    "a MatMul with an Add": modelOf({
      inputs: { x: ["batch", D] },
      outputs: { y: ["batch", K] },
      initializers: { w: columns, b: bias },
      nodes: [node("Relu", ["x"], ["z"]), node("MatMul", ["z", "w"], ["p"]), node("Add", ["p", "b"], ["y"])],
    }),
    "a pointwise Conv": modelOf({
      inputs: { x: ["batch", D, 1, 1] },
      outputs: { y: ["batch", K, 1, 1] },
      initializers: { w: { ...weight, dims: [K, D, 1, 1] }, b: bias },
      nodes: [node("Relu", ["x"], ["z"]), node("Conv", ["z", "w", "b"], ["y"])],
    }),
  };

  test.each(Object.entries(forms))("is found in %s, and replaced by other rows without a bias", (_, model) => {
    const head = findHead("t3a", model);
    expect(head).toMatchObject({ features: "z", classes: K, width: D });
    expect([...head.weight]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...head.bias]).toEqual([0.5, -1]);
    const changed = head.replace(model, Float64Array.of(0, 1, 0, 2, 0, 0));
    const dims = model.graph.inputs[0]!.dims!.map((d) => (d === "batch" ? 1 : Number(d)));
    const y = evaluate(changed, { x: tensorOf("float32", dims, [7, 8, 9]) }).get("y")!;
    expect([...y.data]).toEqual([8, 14]);
  });

  test.each([
    [
      "a model without a linear layer",
      modelOf({ inputs: { x: ["n", 3] }, outputs: { y: ["n", 3] }, nodes: [node("Relu", ["x"], ["y"])] }),
    ],
    [
      "a kernel of 3",
      modelOf({
        inputs: { x: ["n", 3, 3, 3] },
        outputs: { y: ["n", 2, 1, 1] },
        initializers: { w: zeros("float32", [2, 3, 3, 3]) },
        nodes: [node("Conv", ["x", "w"], ["y"], { kernel_shape: attr.ints([3, 3]) })],
      }),
    ],
  ])("is refused in %s", (_, model) => {
    expect(() => findHead("t3a", model)).toThrow(expect.objectContaining({ code: "method.unsuitable" }));
  });

  test("is that of real networks", () => {
    for (const model of [tinyNetwork(), foldedNetwork()]) expect(findHead("t3a", model).classes).toBe(4);
  });
});

describe("agreement of a batch", () => {
  const options = { strength: 1, epsilon: 1e-10 };

  test("without neighbours leaves the probabilities, up to rounding", () => {
    const p = matrix([
      [0.7, 0.2, 0.1],
      [0.3, 0.3, 0.4],
    ]);
    const alone = matrix([
      [0, 0],
      [0, 0],
    ]);
    expect(maxDifference(agree(p, alone, options).assignments.data, p.data)).toBeLessThan(1e-9);
  });

  test("moves an unsure sample to the class of the samples like it, and one on its own not", () => {
    const features = matrix([
      [1, 0],
      [1, 0.05],
      [1, 0.1],
      [0, 1],
    ]);
    const p = matrix([
      [0.9, 0.1],
      [0.9, 0.1],
      [0.45, 0.55],
      [0.45, 0.55],
    ]);
    const kernel = affinityOf(features, { kind: "knn", neighbours: 2, diagonal: true });
    expect(rowsOf(kernel).slice(0, 3)).toEqual([
      [0, 1, 1, 0],
      [1, 0, 1, 0],
      [1, 1, 0, 0],
    ]);
    const [, , third] = rowsOf(agree(p, kernel, options).assignments);
    expect(third![0]).toBeGreaterThan(0.8);
  });

  test("stays a distribution, for any kernel and probabilities", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.integer(), (n, seed) => {
        const random = new Random(seed);
        const features = matrix(Array.from({ length: n }, () => [random.normal(), random.normal(), random.normal()]));
        const p = matrix(Array.from({ length: n }, () => [0.2, 0.5, 0.3]));
        for (const kind of ["rbf", "knn", "linear"] as const) {
          const kernel = affinityOf(features, { kind, neighbours: 3, diagonal: false });
          const { assignments, iterations } = agree(p, kernel, options);
          expect(iterations).toBeLessThanOrEqual(100);
          for (const row of rowsOf(assignments)) expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
        }
      }),
      { numRuns: 30, seed: 3 },
    );
  });

  test("takes images that are all the same as alike", () => {
    const features = matrix([
      [1, 2],
      [1, 2],
    ]);
    expect([...affinityOf(features, { kind: "rbf", neighbours: 5, diagonal: true }).data]).toEqual([1, 1, 1, 1]);
  });
});

describe("labels by centroids", () => {
  /** Three blobs apart from each other, predicted right by two thirds of the certainty. */
  const random = new Random(2);
  const centers = [
    [4, 0, 0],
    [0, 4, 0],
    [0, 0, 4],
  ];
  const truth = Array.from({ length: 30 }, (_, i) => i % 3);
  const features = matrix(truth.map((k) => centers[k]!.map((c) => c + random.normal(0, 0.3))));

  test("are right on blobs, also where a third of the predictions is wrong", () => {
    const p = matrix(truth.map((k, i) => [0, 1, 2].map((c) => (c === (i % 9 === 4 ? (k + 1) % 3 : k) ? 0.6 : 0.2))));
    expect([...centroidLabels(features, p)]).toEqual(truth);
  });

  test("never name a class that nothing was predicted as", () => {
    const p = matrix(truth.map((k) => (k === 2 ? [0.5, 0.1, 0.4] : [0, 1].map((c) => Number(c === k)).concat(0))));
    expect(new Set(centroidLabels(features, p))).toEqual(new Set([0, 1]));
  });
});

/** Predictions that are sure of the given classes. Shapes: [N, 4]. */
const sureOf = (labels: readonly number[], certainty = 6) => ({
  ...{ dtype: "float32" as const, dims: [labels.length, 4] },
  data: Float32Array.from(labels.flatMap((label) => [0, 1, 2, 3].map((k) => (k === label ? certainty : 0)))),
});
const cycle = Array.from({ length: 16 }, (_, i) => i % 4);
const one = cycle.map(() => 1);

describe("the check for correlation in time", () => {
  const observe = (check: CorrelationCheck, labels: readonly number[]): boolean =>
    check.observe(matrix(labels.map((label) => [0, 1, 2, 3].map((k) => Number(k === label)))));

  test("notices runs of a class, from the first batch", () => {
    expect(observe(new CorrelationCheck(), one)).toBe(true);
    const check = new CorrelationCheck();
    const runs = cycle.toSorted();
    expect([runs, runs, runs].map((labels) => observe(check, labels))).toEqual([true, true, true]);
  });

  test("keeps quiet on shuffled streams, and comes back to that", () => {
    const random = new Random(5);
    const check = new CorrelationCheck();
    const shuffled = Array.from({ length: 200 }, () => observe(check, random.shuffled(cycle)));
    expect(shuffled.filter(Boolean)).toEqual([]);
    observe(check, cycle.toSorted());
    for (let i = 0; i < 60; i++) observe(check, random.shuffled(cycle));
    expect(observe(check, random.shuffled(cycle))).toBe(false);
  });

  test("needs two samples", () => {
    expect(observe(new CorrelationCheck(), [2])).toBe(false);
  });
});

describe("the collapse guard", () => {
  const never = (): never => {
    throw new Error("the source is not asked");
  };

  test("leaves a model alone that predicts many classes, without asking the source", async () => {
    const guard = new CollapseGuard();
    for (let i = 0; i < 20; i++) expect(await guard.hasCollapsed(sureOf(cycle), never)).toBe(false);
  });

  test("notices one class where the source sees many", async () => {
    const guard = new CollapseGuard();
    for (let i = 0; i < 5; i++) await guard.hasCollapsed(sureOf(cycle), never);
    const found = [];
    for (let i = 0; i < 8; i++) found.push(await guard.hasCollapsed(sureOf(one), () => Promise.resolve(sureOf(cycle))));
    expect(found).toContain(true);
  });

  test("takes a stream of one class for what it is", async () => {
    const guard = new CollapseGuard();
    for (let i = 0; i < 20; i++)
      expect(await guard.hasCollapsed(sureOf(one), () => Promise.resolve(sureOf(one)))).toBe(false);
  });

  test("works on batches of one image, and on predictions that are not numbers", async () => {
    const guard = new CollapseGuard();
    const found = [];
    for (let i = 0; i < 60; i++)
      found.push(await guard.hasCollapsed(sureOf([1]), () => Promise.resolve(sureOf([i % 4]))));
    expect(found).toContain(true);
    const broken = { ...sureOf([1]), data: Float32Array.of(NaN, NaN, NaN, NaN) };
    await expect(guard.hasCollapsed(broken, () => Promise.resolve(broken))).resolves.toBeTypeOf("boolean");
  });
});
