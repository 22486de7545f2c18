import { z } from "zod";
import { balancedEntropy } from "../../graph/index.js";
import { defineMethod } from "../method.js";
import { onlineOptions, planOnline } from "./online.js";

/**
 * DELTA: entropy minimisation with batch renormalization against moving averages (TBR), weighted against the classes that
 * were predicted most (DOT).
 *
 * Cost: as Tent, and one multiplication and addition more for each normalized value.
 * Source: Zhao et al. 2023, arXiv:2301.13018; https://github.com/bwbwzhao/DELTA.
 */
export const delta = defineMethod({
  name: "delta",
  summary: "entropy weighted against frequent classes, with batch renormalization",
  labels: "none",
  options: z.strictObject({
    ...onlineOptions,
    /** Weight of the past in the statistics. */
    renormalization: z.number().min(0).max(1).default(0.95),
    /** Weight of the past in the class frequencies. */
    frequencyMomentum: z.number().min(0).max(1).default(0.95),
    /** Weighs by exp(½ ln K - H) besides, and leaves out samples where that is not above 1. */
    certainOnly: z.boolean().default(true),
  }),
  plan: ({ model, options }) =>
    planOnline(model, options, {
      name: "delta",
      loss: balancedEntropy({ momentum: options.frequencyMomentum, certainOnly: options.certainOnly }),
      statistics: { renormalize: options.renormalization },
    }),
});
