import { z } from "zod";
import { adam, entropy, sgd } from "../../graph/index.js";
import { defineMethod, normalizationParameters } from "../method.js";

/**
 * Tent: minimises the entropy of the predictions over the scale and bias of the normalization layers.
 *
 * Cost: one forward and one backward that stops at the earliest normalization layer.
 * Source: Wang et al., ICLR 2021, https://openreview.net/forum?id=uXl3bZLkr3c; predictions are those before the update.
 */
export const tent = defineMethod({
  name: "tent",
  summary: "entropy minimisation over the normalization layers, batch statistics",
  labels: "none",
  options: z.strictObject({
    learningRate: z.number().positive().default(1e-3),
    optimizer: z.enum(["adam", "sgd"]).default("adam"),
    momentum: z.number().min(0).max(1).default(0.9),
  }),
  plan({ model, options: { learningRate, optimizer, momentum } }) {
    const parameters = normalizationParameters("tent", model).map(({ name }) => name);
    return {
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: {
        loss: entropy,
        optimizer: optimizer === "adam" ? adam() : sgd({ momentum }),
        parameters,
        learningRate,
        epochs: 1,
      },
    };
  },
});
