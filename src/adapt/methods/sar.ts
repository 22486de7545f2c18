import { z } from "zod";
import { reliableEntropy, sharpnessAware } from "../../graph/index.js";
import { defineMethod, type Host } from "../method.js";
import { type Follow, onlineOptions, planOnline } from "./online.js";

/**
 * SAR: entropy of reliable predictions, minimised where it is flat: the update uses the gradients at θ + ρ·g/‖g‖. Starts from the
 * source again when the moving average e of the loss falls below a threshold.
 *
 * Cost: two forward and backward passes.
 * Source: Niu et al. 2023, arXiv:2302.12400; https://github.com/mr-eggplant/SAR. The threshold of 0.2 is theirs for 1000
 * classes: with 10, sure predictions reach it in half of the steps, and 0.2·ln 10 / ln 1000 = 0.067 suits better.
 */
export const sar = defineMethod({
  name: "sar",
  summary: "sharpness-aware entropy of reliable predictions over the normalization layers",
  labels: "none",
  options: z.strictObject({
    ...onlineOptions,
    optimizer: z.enum(["adam", "sgd"]).default("sgd"),
    /** ρ. */
    radius: z.number().positive().default(0.05),
    /** E₀ as a share of ln K. */
    maximumEntropy: z.number().min(0).max(1).default(0.4),
    resetBelow: z.number().min(0).default(0.2),
    /** After a reset the authors' code goes on with the old e, so that resets follow each other; `clear` begins anew. */
    averageAfterReset: z.enum(["keep", "clear"]).default("keep"),
    /** A reset leaves the momentum of SGD as it is in the authors' code; `clear` starts that anew too. */
    momentumAfterReset: z.enum(["keep", "clear"]).default("keep"),
    /** A batch without a reliable prediction still moves the weights by the momentum in the authors' code. */
    emptyBatch: z.enum(["momentum", "skip"]).default("momentum"),
    /** Layers that stay as they are, by a piece of their names; the last blocks of ResNets and ViTs. */
    freezes: z.array(z.string()).default(["layer4", "blocks.9", "blocks.10", "blocks.11", "norm."]),
  }),
  plan: ({ model, options }) =>
    planOnline(model, options, {
      name: "sar",
      loss: reliableEntropy({
        maximumEntropy: options.maximumEntropy,
        skipsEmpty: options.emptyBatch === "skip",
      }),
      descent: sharpnessAware({ radius: options.radius }),
      isFrozen: createFreezer(options.freezes),
      follow: (host) => resetWhenFlat(host, options),
    }),
});

/** A layer is named by its parameter without the last part, and `norm.` also means the layer `norm`. */
const createFreezer =
  (pieces: readonly string[]) =>
  (parameter: string): boolean => {
    const layer = parameter.slice(0, parameter.lastIndexOf("."));
    return pieces.some((piece) => layer.includes(piece) || layer === piece.replace(/\.$/, ""));
  };

interface Recovery {
  readonly resetBelow: number;
  readonly averageAfterReset: "keep" | "clear";
  readonly momentumAfterReset: "keep" | "clear";
}

function resetWhenFlat(host: Host, { resetBelow, averageAfterReset, momentumAfterReset }: Recovery): Follow {
  let average: number | undefined;
  return {
    async after({ loss, measures }) {
      const selected = (measures.selected!.data as Float32Array).some((mask) => mask > 0);
      if (selected && Number.isFinite(loss)) average = average === undefined ? loss! : 0.9 * average + 0.1 * loss!;
      if (average === undefined || average >= resetBelow) return;
      const kept = average;
      await host.reset({ keeps: momentumAfterReset === "keep" ? ["optimizer"] : [] });
      if (averageAfterReset === "keep") average = kept;
    },
    reset: () => {
      average = undefined;
    },
  };
}
