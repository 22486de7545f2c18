import { z } from "zod";
import { informationMaximisation } from "../../graph/index.js";
import { defineMethod } from "../method.js";
import { onlineOptions, planOnline } from "./online.js";

/**
 * SHOT-IM, online: each prediction sure, all together diverse. L = mean_i H(p_i) - H(mean_i p_i), with log(p + ε).
 *
 * Cost: as Tent.
 * Source: SHOT, Liang et al. 2020, arXiv:2002.08546, eq. 3, on normalization layers as in Boudiaf et al. 2022, arXiv:2201.05718.
 */
export const shotIm = defineMethod({
  name: "shot-im",
  summary: "information maximisation over the normalization layers: sure and diverse predictions",
  labels: "none",
  options: z.strictObject({
    ...onlineOptions,
    /** Beside the logarithm's p: 1e-5 in SHOT's code, 1e-10 in LAME's. */
    entropyEpsilon: z.number().min(0).default(1e-5),
  }),
  plan: ({ model, options }) =>
    planOnline(model, options, {
      name: "shot-im",
      loss: informationMaximisation({ epsilon: options.entropyEpsilon }),
    }),
});
