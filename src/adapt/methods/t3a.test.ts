import { expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { maxDifference } from "../../../test/helpers/parity.js";
import { ReferenceEngine } from "../../../test/helpers/reference-host.js";
import { Random, tensorOf } from "../../base/index.js";
import { attr } from "../../graph/index.js";
import { parsePreprocessing } from "../../vision/index.js";
import { planMethod } from "../method.js";
import { MethodRun } from "../method-run.js";
import { t3a } from "./t3a.js";

const [N, D, K] = [12, 4, 3];
const random = new Random(3);
const draw = (count: number): number[] => Array.from({ length: count }, () => Math.fround(random.normal()));
const [weight, images] = [draw(K * D), draw(N * D).map(Math.abs)];
/** Enough that a classifier with it takes its own rows for others. */
const bias = [0, 0, 4];
const model = modelOf({
  inputs: { x: ["batch", D] },
  outputs: { y: ["batch", K] },
  initializers: { w: tensorOf("float32", [K, D], weight), b: tensorOf("float32", [K], bias) },
  nodes: [node("Relu", ["x"], ["z"]), node("Gemm", ["z", "w", "b"], ["y"], { transB: attr.int(1) })],
});
const rowsOf = (data: readonly number[]): number[][] =>
  Array.from({ length: data.length / D }, (_, i) => data.slice(i * D, (i + 1) * D));
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
const unit = (v: readonly number[]): number[] => v.map((value) => value / Math.max(Math.sqrt(dot(v, v)), 1e-12));
const weights = rowsOf(weight);

function supportOf(row: readonly number[], hasBias: boolean): { row: number[]; label: number; entropy: number } {
  const logits = weights.map((w, k) => dot(w, row) + (hasBias ? bias[k]! : 0));
  const sum = logits.reduce((total, v) => total + Math.exp(v), 0);
  const entropy = logits.reduce((h, v) => h - (Math.exp(v) / sum) * (v - Math.log(sum)), 0);
  return { row: unit(row), label: logits.indexOf(Math.max(...logits)), entropy };
}

test.each([
  [2, true, (count: number) => Math.min(2, count)],
  [2, false, (count: number) => Math.min(2, count)],
  [0, false, (count: number) => count],
  [-1, false, (count: number) => count - 1],
])(
  "with supports %d and biasInSupports %s keeps of each class what the authors' code keeps",
  async (supports, biasInSupports, countOf) => {
    const plan = planMethod(t3a, model, N, { supports, biasInSupports });
    const preprocessing = parsePreprocessing({ width: 1, height: 1 });
    const run = new MethodRun(plan, new ReferenceEngine(model, plan), { random, model, preprocessing });
    const stream = { dtype: "float32", dims: [N, D], data: Float64Array.from(images) } as const;
    const { prediction } = await run.step({ images: stream, indices: [] });
    const all = [
      ...weights.map((row) => supportOf(row, biasInSupports)),
      ...rowsOf(images).map((row) => supportOf(row, true)),
    ];
    const prototypes = [0, 1, 2].map((k) => {
      const own = all.filter(({ label }) => label === k).sort((a, b) => a.entropy - b.entropy);
      const kept = own.slice(0, countOf(own.length)).map(({ row }) => row);
      return unit(kept.reduce((sum, row) => sum.map((v, i) => v + row[i]!), Array<number>(D).fill(0)));
    });
    const expected = rowsOf(images).flatMap((row) => prototypes.map((w) => dot(row, w)));
    expect(maxDifference(prediction.data as Float64Array, expected)).toBeLessThan(1e-12);
  },
);

test("the rows of the classifier are labelled otherwise with its bias than without", () => {
  const labelsWith = (hasBias: boolean): number[] => weights.map((row) => supportOf(row, hasBias).label);
  expect(labelsWith(true)).not.toEqual(labelsWith(false));
});
