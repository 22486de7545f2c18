import { z } from "zod";
import { LimberError } from "../../base/index.js";
import { createEstimator, type Estimator, type EstimatorRecord } from "./estimator.js";

const numbers = z.array(z.number());
const map = z.object({ intercept: z.number(), centres: numbers, weights: numbers });
const model = z
  .object({
    scales: numbers,
    lowest: numbers,
    highest: numbers,
    kinds: z.record(z.string(), map),
    deviations: z.record(z.string(), z.number().min(0)),
  })
  .refine(({ scales, lowest, highest, kinds }) => {
    const maps = Object.values(kinds).flatMap(({ centres, weights }) => [centres, weights]);
    return [lowest, highest, ...maps].every(({ length }) => length === scales.length);
  });
const signals = z.object({
  confidence: z.number(),
  entropy: z.number(),
  marginalEntropy: z.number(),
  atc: z.number(),
  distance: z.number(),
  agreement: z.number(),
});
const record: z.ZodType<EstimatorRecord> = z.object({
  version: z.literal(1),
  kinds: z.record(
    z.string(),
    z.object({
      sourceScores: numbers.min(1),
      sourceSignals: z.array(signals).min(1),
      sizes: numbers.min(1),
      curve: z.object({
        kappa: z.number().positive(),
        exponent: z.number().positive(),
        horizon: z.number().positive(),
      }),
    }),
  ),
  level: model,
  transfer: model,
  gain: model,
});

/** An estimator as JSON text. */
export const writeEstimator = (estimator: Estimator): string => `${JSON.stringify(estimator.record)}\n`;

/** What `writeEstimator` wrote. Throws: `data.invalid` for any other text. */
export function readEstimator(text: string): Estimator {
  try {
    return createEstimator(record.parse(JSON.parse(text)));
  } catch (cause) {
    const message = "estimator: text of writeEstimator, version 1, got something else; fit it anew from traces";
    throw new LimberError("data.invalid", message, {}, { cause });
  }
}
