import { z } from "zod";
import type { BatchStatistics } from "../../graph/index.js";
import { CorrelationCheck } from "../correlation.js";
import { findHead } from "../head.js";
import { type Control, defineMethod, type Host } from "../method.js";
import { type Affinity, affinityOf, agree } from "../laplacian.js";
import { mapRows, matrixOf, softmaxRow, tensorLike } from "../rows.js";

const schema = z.strictObject({
  affinity: z.enum(["rbf", "knn", "linear"]).default("rbf"),
  neighbours: z.int().min(1).default(5),
  /** λ, the weight of the neighbours. */
  strength: z.number().min(0).default(1),
  /** Whether a sample agrees with itself, as in the authors' code. */
  diagonal: z.boolean().default(true),
  /** Beside the probabilities in the logarithm. */
  entropyEpsilon: z.number().positive().default(1e-10),
  statistics: z.enum(["stored", "batch"]).default("stored"),
  /** Whether it stands aside until the stream shows that neighbours in time share their class; the authors' code has no such check. */
  onlyCorrelated: z.boolean().default(true),
});

/**
 * LAME: changes no weight, and makes the predictions of a batch agree with those of samples that look alike.
 *
 * For streams where a batch has few classes: on shuffled ones it collapses, as published (76.75 % error where batch statistics have
 * 30.23), which is what the check is for.
 * Cost: a forward, and N² of the batch. Nothing is left for an exported model.
 * Source: Boudiaf et al. 2022, arXiv:2201.05718; https://github.com/fiveai/LAME.
 */
export const lame = defineMethod({
  name: "lame",
  summary: "predictions that agree among similar images of a batch; for streams in order of time",
  labels: "none",
  options: schema,
  plan({ model, options }) {
    const { features } = findHead("lame", model);
    const batch: BatchStatistics = { sourceWeight: 0, variance: "unbiased" };
    return {
      statistics: options.statistics === "stored" ? "fixed" : batch,
      observe: [features],
      control: (host) => controlLame(host, features, options),
    };
  },
});

function controlLame(host: Host, features: string, options: z.output<typeof schema>): Control {
  const { affinity: kind, neighbours, diagonal, strength, entropyEpsilon: epsilon } = options;
  const affinity: Affinity = { kind, neighbours, diagonal };
  let check = new CorrelationCheck();
  return {
    async step({ images }) {
      const report = await host.step({ images });
      const probabilities = mapRows(matrixOf(report.prediction), softmaxRow);
      const isFinite = probabilities.data.every(Number.isFinite);
      const applies = isFinite && (check.observe(probabilities) || !options.onlyCorrelated);
      if (!applies) return { ...report, prediction: tensorLike(report.prediction, probabilities) };
      const kernel = affinityOf(matrixOf(report.observed[features]!), affinity);
      const { assignments } = agree(probabilities, kernel, { strength, epsilon });
      return { ...report, prediction: tensorLike(report.prediction, assignments) };
    },
    reset: () => {
      check = new CorrelationCheck();
    },
  };
}
