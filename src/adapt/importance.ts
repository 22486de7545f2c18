import type { Tensor } from "../base/index.js";
import { selfCrossEntropy, sumSquaredGradients } from "../graph/index.js";
import type { RunTensor } from "../run/node.js";
import type { MethodPlan } from "./method.js";
import type { StepEngine } from "./method-run.js";

/** The plan that measures how much each parameter matters, where another one will train it. */
export const importancePlan = ({ statistics, train, wantsImportance }: MethodPlan): MethodPlan => ({
  statistics: wantsImportance === "samples" ? "fixed" : statistics,
  train: {
    ...{ loss: selfCrossEntropy, optimizer: sumSquaredGradients, learningRate: 0, epochs: 1 },
    ...{ parameters: train?.parameters ?? [], ...(train?.rows && { rows: train.rows }) },
  },
});

/**
 * F = mean over batches of (∂ cross-entropy against the predicted classes / ∂θ)²: the Fisher information as EATA estimates it, from
 * the mean gradient of each batch; with batches of one image, that of its definition. `engine` runs `importancePlan`.
 *
 * Source: Niu et al. 2022, arXiv:2204.02610, eq. 9, and its authors' code.
 */
export async function estimateImportance(
  engine: StepEngine,
  batches: AsyncIterable<{ readonly images: RunTensor }>,
): Promise<Map<string, Tensor>> {
  let count = 0;
  for await (const { images } of batches) {
    const { accepted } = await engine.step({ images }, { learningRate: 0, statisticsMomentum: 0 });
    if (accepted) count++;
  }
  const sums = await engine.readBuffer(sumSquaredGradients.buffers[0]!);
  const mean = ({ dtype, dims, data }: RunTensor): Tensor => ({
    ...{ dtype, dims },
    data: (data as Float32Array).map((sum) => (count === 0 ? 0 : sum / count)),
  });
  return new Map(Array.from(sums, ([name, sum]) => [name, mean(sum)]));
}
