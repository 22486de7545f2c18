import { z } from "zod";
import type { BatchStatistics } from "../../graph/index.js";
import { defineMethod, normalizationParameters } from "../method.js";

/**
 * Normalizes with the statistics of the batch, mixed with those of the source by a prior of N samples: p = N / (N + n).
 *
 * Cost: one forward; nothing is trained.
 * Source: Nado et al. 2020, arXiv:2006.10963 (N = 0); Schneider et al. 2020, arXiv:2006.16971 (N > 0, unbiased variance).
 */
export const bn = defineMethod({
  name: "bn",
  summary: "batch statistics instead of the stored ones, mixed by a source prior",
  labels: "none",
  options: z
    .strictObject({
      /** Weight of the source in samples; 0 uses the batch alone. */
      prior: z.number().min(0).optional(),
      /** Weight of the source directly, in [0, 1]; instead of `prior`. */
      sourceWeight: z.number().min(0).max(1).optional(),
      /** Of the batch, where it is mixed with the source: unbiased in the authors' code; that of the batch alone is biased everywhere. */
      variance: z.enum(["unbiased", "biased"]).default("unbiased"),
    })
    .refine(
      (o) => o.prior === undefined || o.sourceWeight === undefined,
      "either a prior or a source weight, got both",
    ),
  plan({ model, batchSize, options: { prior = 0, sourceWeight, variance } }) {
    normalizationParameters("bn", model);
    const weight = sourceWeight ?? prior / (prior + batchSize);
    return { statistics: { sourceWeight: weight, variance } satisfies BatchStatistics };
  },
});
