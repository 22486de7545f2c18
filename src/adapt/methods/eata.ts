import { z } from "zod";
import { type Loss, selectiveEntropy, withPenalty } from "../../graph/index.js";
import type { ResetOptions } from "../../run/node.js";
import { defineMethod } from "../method.js";
import { onlineOptions, planOnline } from "./online.js";

const etaOptions = {
  ...onlineOptions,
  /** E₀ as a share of ln K. */
  maximumEntropy: z.number().min(0).max(1).default(0.4),
  /** d: 0.05 in the authors' code for ImageNet, 0.4 for CIFAR-10 and 0.1 for CIFAR-100 in the benchmark of 2023. */
  maximumCosine: z.number().min(0).max(1).default(0.4),
  /** Whether m outlives a reset by `resetEvery`: it does in the authors' code, and does not in the benchmark of 2023. */
  meanAfterReset: z.enum(["keep", "clear"]).default("keep"),
};

const resetOf = ({ meanAfterReset }: { meanAfterReset: "keep" | "clear" }): ResetOptions => ({
  keeps: meanAfterReset === "keep" ? ["carried"] : [],
});

const eataOptions = {
  ...etaOptions,
  /** α: 2000 in the authors' code for ImageNet, 1 for CIFAR in the benchmark of 2023. */
  strength: z.number().min(0).default(1),
  /** What F squares: the mean gradient of each batch, as in the authors' code, or the gradients of single images. */
  importance: z.enum(["batches", "samples"]).default("batches"),
};

const lossOf = ({ maximumEntropy, maximumCosine }: { maximumEntropy: number; maximumCosine: number }): Loss =>
  selectiveEntropy({ maximumEntropy, maximumCosine });

/**
 * ETA: entropy of the predictions that are reliable, H < E₀, and not redundant, |cos(p, m)| < d, weighted by exp(E₀ - H).
 *
 * With `resetEvery` 1000 this is RDumb.
 * Cost: as Tent; batches of which nothing is selected are not trained on.
 * Source: Niu et al. 2022, arXiv:2204.02610; https://github.com/mr-eggplant/EATA.
 */
export const eta = defineMethod({
  name: "eta",
  summary: "entropy of reliable, non-redundant predictions over the normalization layers",
  labels: "none",
  options: z.strictObject(etaOptions),
  plan: ({ model, options }) =>
    planOnline(model, options, { name: "eta", loss: lossOf(options), resets: resetOf(options) }),
});

/**
 * EATA: ETA, held near the source by α·Σ F (θ - θ⁰)², F being the mean over batches of source images of the squared
 * gradients of the cross-entropy against the predicted classes.
 *
 * Cost: as ETA, and once a pass over the source images.
 * Source: as ETA.
 */
export const eata = defineMethod({
  name: "eata",
  summary: "eta, held near the source by the Fisher information of source images",
  labels: "none",
  source: "images",
  options: z.strictObject(eataOptions),
  plan({ model, options, importance }) {
    const loss = lossOf(options);
    const plan = planOnline(model, options, {
      name: "eata",
      loss: importance ? withPenalty(loss, importance, { strength: options.strength }) : loss,
      resets: resetOf(options),
    });
    return { ...plan, wantsImportance: options.importance };
  },
});
