import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../../test/helpers/graph.js";
import { maxDifference } from "../../../test/helpers/parity.js";
import { ReferenceEngine } from "../../../test/helpers/reference-host.js";
import { Random, tensorOf } from "../../base/index.js";
import type { RunTensor, StepReport } from "../../run/node.js";
import {
  balancedEntropy,
  type Descent,
  entropy,
  type Loss,
  reliableEntropy,
  selectiveEntropy,
  sgd,
  sharpnessAware,
  weightedSum,
  withPenalty,
} from "./index.js";

const [N, K] = [6, 3];
const LOG = Math.log(K);
const random = new Random(8);
/** Images are the logits, scaled by a weight that trains. */
const model = modelOf({
  inputs: { x: [N, K] },
  outputs: { y: [N, K] },
  initializers: { w: tensorOf("float32", [K], [1, 1.5, 0.5]) },
  nodes: [node("Mul", ["x", "w"], ["y"])],
});
const engineOf = (loss: Loss, descent?: Descent): ReferenceEngine =>
  new ReferenceEngine(model, {
    statistics: "fixed",
    train: { loss, optimizer: sgd(), parameters: ["w"], learningRate: 0, epochs: 1, ...(descent && { descent }) },
  });
const batch = (spread: number): RunTensor => ({
  dtype: "float32",
  dims: [N, K],
  data: Float64Array.from({ length: N * K }, () => random.normal(0, spread)),
});
const W = [1, 1.5, 0.5];
const logitsOf = ({ data }: RunTensor, w: readonly number[] = W): number[][] =>
  Array.from({ length: N }, (_, i) => w.map((scale, k) => Number(data[i * K + k]) * scale));
const softmax = (row: readonly number[]): number[] => {
  const sum = row.reduce((total, v) => total + Math.exp(v), 0);
  return row.map((v) => Math.exp(v) / sum);
};
const entropyOf = (row: readonly number[]): number => softmax(row).reduce((sum, p) => sum - p * Math.log(p), 0);
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const step = (engine: ReferenceEngine, images: RunTensor, learningRate = 0): Promise<StepReport> =>
  engine.step({ images }, { learningRate });

/** ∂loss/∂w by central differences of a function of w. */
const slope = (loss: (w: readonly number[]) => number, at: readonly number[] = W): number[] =>
  at.map((value, k) => {
    const moved = (by: number): number => loss(at.with(k, value + by));
    return (moved(1e-6) - moved(-1e-6)) / 2e-6;
  });
/** The gradient, as a step of rate 1 shows it. */
async function gradientOf(engine: ReferenceEngine, images: RunTensor): Promise<number[]> {
  await step(engine, images, 1);
  return [...engine.weights().get("w")!.data].map((value, k) => W[k]! - value);
}

describe("selective entropy", () => {
  const options = { maximumEntropy: 0.7, maximumCosine: 0.8 };

  test("takes reliable and new predictions, weighs them by certainty, and remembers their mean", async () => {
    const engine = engineOf(selectiveEntropy(options));
    let past: number[] | undefined;
    let redundant = 0;
    for (const images of [batch(3), batch(3), batch(3)]) {
      const rows = logitsOf(images);
      const { loss, measures } = await step(engine, images);
      const reliable = rows.map((row) => entropyOf(row) < 0.7 * LOG);
      const selected = rows.map((row, i) => {
        const p = softmax(row);
        const cosine = past ? dot(p, past) / Math.sqrt(dot(p, p) * dot(past, past)) : 0;
        return reliable[i]! && Math.abs(cosine) < 0.8;
      });
      redundant += reliable.filter((is, i) => is && !selected[i]).length;
      expect([...measures.selected!.data].map(Boolean)).toEqual(selected);
      expect([...measures.reliable!.data].map(Boolean)).toEqual(reliable);
      const kept = rows.filter((_, i) => selected[i]);
      const entropies = kept.map(entropyOf);
      expect(loss).toBeCloseTo(mean(entropies.map((h) => h * Math.exp(0.7 * LOG - h))), 12);
      const fresh = [0, 1, 2].map((k) => mean(kept.map((row) => softmax(row)[k]!)));
      past = past ? past.map((m, k) => 0.9 * m + 0.1 * fresh[k]!) : fresh;
      expect(maxDifference(engine.carried("mean-prediction").data, past)).toBeLessThan(1e-12);
    }
    expect(redundant).toBeGreaterThan(0);
  });

  test("has a gradient that leaves selection and weights alone", async () => {
    const images = batch(3);
    const fixed = logitsOf(images)
      .map(entropyOf)
      .map((h) => (h < 0.7 * LOG ? Math.exp(0.7 * LOG - h) : 0));
    const count = fixed.filter((weight) => weight > 0).length;
    const loss = (w: readonly number[]): number =>
      logitsOf(images, w).reduce((sum, row, i) => sum + fixed[i]! * entropyOf(row), 0) / count;
    expect(maxDifference(await gradientOf(engineOf(selectiveEntropy(options)), images), slope(loss))).toBeLessThan(
      1e-8,
    );
  });

  test("leaves weights and memory alone where nothing is reliable, and counts the step as accepted", async () => {
    const engine = engineOf(selectiveEntropy(options));
    expect(await step(engine, batch(0.01), 1)).toMatchObject({ accepted: true, updated: false, loss: 0 });
    expect([...engine.weights().get("w")!.data]).toEqual(W);
    expect([...engine.carried("mean-prediction").data]).toEqual([0, 0, 0]);
  });
});

describe("reliable entropy with sharpness-aware gradients", () => {
  const loss = reliableEntropy({ maximumEntropy: 0.7 });

  test("uses the gradients at weights moved by ρ along the first, over what is reliable at both", async () => {
    const images = batch(3);
    const lossAt = (w: readonly number[], by: readonly (readonly number[])[]): number => {
      const isReliable = (i: number): boolean => by.every((at) => entropyOf(logitsOf(images, at)[i]!) < 0.7 * LOG);
      const kept = logitsOf(images, w).filter((_, i) => isReliable(i));
      return mean(kept.map(entropyOf));
    };
    const first = slope((w) => lossAt(w, [W]));
    const moved = W.map((value, k) => value + (0.5 * first[k]!) / Math.sqrt(dot(first, first)));
    const second = slope((w) => lossAt(w, [W, moved]), moved);
    const found = await gradientOf(engineOf(loss, sharpnessAware({ radius: 0.5 })), images);
    expect(maxDifference(found, second)).toBeLessThan(1e-7);
    expect(maxDifference(first, second)).toBeGreaterThan(1e-3);
  });

  test("reports the prediction before the weights were moved", async () => {
    const images = batch(3);
    const { prediction } = await step(engineOf(loss, sharpnessAware({ radius: 0.5 })), images);
    expect(maxDifference(prediction.data as Float64Array, logitsOf(images).flat())).toBeLessThan(1e-12);
  });

  test.each([
    [true, false],
    [false, true],
  ])("with nothing reliable and skipsEmpty %s updates: %s", async (skipsEmpty, updated) => {
    const engine = engineOf(reliableEntropy({ skipsEmpty }), sharpnessAware());
    expect(await step(engine, batch(0.01), 1)).toMatchObject({ accepted: true, updated, loss: 0 });
    expect([...engine.weights().get("w")!.data]).toEqual(W);
  });
});

describe("balanced entropy", () => {
  test.each([true, false])("weighs against what was predicted most; only certain ones: %s", async (certainOnly) => {
    const engine = engineOf(balancedEntropy({ momentum: 0.6, certainOnly }));
    let frequency = [1 / K, 1 / K, 1 / K];
    for (const images of [batch(3), batch(3)]) {
      const rows = logitsOf(images);
      const raw = rows.map((row) => 1 / frequency[row.indexOf(Math.max(...row))]!);
      const weights = raw.map((weight) => weight / mean(raw));
      const certainty = rows.map((row) => (certainOnly ? Math.exp(0.5 * LOG - entropyOf(row)) : 2));
      const terms = rows.flatMap((row, i) =>
        certainty[i]! > 1 ? [weights[i]! * entropyOf(row) * (certainOnly ? certainty[i]! : 1)] : [],
      );
      const { loss, measures } = await step(engine, images);
      expect(maxDifference(measures.weights!.data as Float64Array, weights)).toBeLessThan(1e-6);
      expect(loss).toBeCloseTo(mean(terms), 6);
      frequency = frequency.map((past, k) => 0.6 * past + 0.4 * mean(rows.map((row) => softmax(row)[k]!)));
    }
  });
});

describe("losses together", () => {
  test("are summed with their weights", async () => {
    const images = batch(1);
    const { loss } = await step(
      engineOf(
        weightedSum([
          [1, entropy],
          [0.5, entropy],
        ]),
      ),
      images,
    );
    expect(loss).toBeCloseTo(1.5 * mean(logitsOf(images).map(entropyOf)), 12);
  });

  test("cost what it takes to leave the source, by the importance of each weight", async () => {
    const importance = new Map([["w", tensorOf("float32", [K], [4, 0, 1])]]);
    const engine = engineOf(withPenalty(entropy, importance, { strength: 3 }));
    const images = batch(1);
    await step(engine, images, 0.5);
    const w = [...engine.weights().get("w")!.data];
    const { loss } = await step(engine, images);
    const penalty = 3 * (4 * (w[0]! - W[0]!) ** 2 + (w[2]! - W[2]!) ** 2);
    expect(penalty).toBeGreaterThan(0.01);
    expect(loss).toBeCloseTo(mean(logitsOf(images, w).map(entropyOf)) + penalty, 12);
  });
});
