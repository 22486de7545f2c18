import { describe, expect, test } from "vitest";
import { modelOf, node } from "../../test/helpers/graph.js";
import { maxDifference } from "../../test/helpers/parity.js";
import { ReferenceEngine } from "../../test/helpers/reference-host.js";
import { tensorOf } from "../base/index.js";
import { entropy, sgd } from "../graph/index.js";
import type { RunTensor } from "../run/node.js";
import { estimateImportance, importancePlan } from "./importance.js";
import type { MethodPlan } from "./method.js";

const W = [1, 1.5, 0.5];
/** Images are the logits, scaled by a weight that trains. */
const model = modelOf({
  inputs: { x: ["batch", 3] },
  outputs: { y: ["batch", 3] },
  initializers: { w: tensorOf("float32", [3], W) },
  nodes: [node("Mul", ["x", "w"], ["y"])],
});
const images = [
  [2, -1, 0.5],
  [0.3, 0.1, -1],
  [-1, 1, 1.5],
  [0, 2, -2],
];

/** ∂ cross-entropy against the predicted class / ∂w of one image: (p - one-hot) · x. */
function gradientOf(x: readonly number[]): number[] {
  const logits = x.map((value, k) => value * W[k]!);
  const sum = logits.reduce((total, value) => total + Math.exp(value), 0);
  const predicted = logits.indexOf(Math.max(...logits));
  return x.map((value, k) => (Math.exp(logits[k]!) / sum - Number(k === predicted)) * value);
}

async function* batchesOf(size: number): AsyncGenerator<{ images: RunTensor }> {
  for (let at = 0; at < images.length; at += size) {
    const data = Float64Array.from(images.slice(at, at + size).flat());
    yield await Promise.resolve({ images: { dtype: "float32", dims: [size, 3], data } });
  }
}

describe("importance", () => {
  test.each([2, 1])("is the mean of the squared mean gradients of batches of %d", async (size) => {
    const train = { loss: entropy, optimizer: sgd(), parameters: ["w"], learningRate: 1, epochs: 1 };
    const plan: MethodPlan = { statistics: "fixed", train };
    const found = await estimateImportance(new ReferenceEngine(model, importancePlan(plan)), batchesOf(size));
    const gradients = images.map(gradientOf);
    const means = Array.from({ length: images.length / size }, (_, batch) =>
      [0, 1, 2].map((k) => gradients.slice(batch * size, (batch + 1) * size).reduce((sum, g) => sum + g[k]! / size, 0)),
    );
    const expected = [0, 1, 2].map((k) => means.reduce((sum, mean) => sum + mean[k]! ** 2, 0) / means.length);
    expect(maxDifference(found.get("w")!.data as Float64Array, expected)).toBeLessThan(1e-12);
  });

  test("of single samples is taken with the stored statistics, of batches with those of the method", () => {
    const statistics = { sourceWeight: 0, variance: "unbiased" } as const;
    for (const [wantsImportance, expected] of [
      ["samples", "fixed"],
      ["batches", statistics],
    ] as const)
      expect(importancePlan({ statistics, wantsImportance }).statistics).toEqual(expected);
  });
});
