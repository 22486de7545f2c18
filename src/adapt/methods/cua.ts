import { z } from "zod";
import {
  type Alignment,
  correlationAlignment,
  crossEntropy,
  type Loss,
  maximumMeanDiscrepancy,
  MMD_FORMS,
  pooledFeatures,
  projected,
  weightedSum,
  withPenalty,
} from "../../graph/index.js";
import { findHead } from "../head.js";
import { type Control, defineMethod, type Host, parametersToTrain, type StreamBatch } from "../method.js";
import { nextSource } from "../method-run.js";
import { likeliest } from "../probabilities.js";
import { firstImages } from "../replay/images.js";
import { type Labelled, ReplayMemory } from "../replay/memory.js";
import { optimizerOf, trainingOptions } from "./online.js";

const options = z.strictObject({
  ...trainingOptions,
  trains: trainingOptions.trains.default("features"),
  /** How features of the domain are drawn to those of the source: kernels by one of three conventions, or second moments. */
  alignment: z.enum(["edgevision", "tllib", "domainbed", "coral"]).default("edgevision"),
  alignmentWeight: z.number().min(0).default(1),
  /** MMD: whether kernels are summed, as in all three codes, or averaged. */
  kernels: z.enum(["sum", "mean"]).default("sum"),
  /** MMD: over all pairs, or without those of an image and itself. Default: that of the convention, unbiased in `tllib`. */
  estimator: z.enum(["biased", "unbiased"]).optional(),
  /** CORAL: what the distance of the covariances is divided by; D² in the codes, 4D² in the paper. */
  coralScale: z.enum(["d2", "4d2"]).default("d2"),
  /** CORAL: whether the distance of the means is added; in the codes, not in the paper. */
  coralMeans: z.boolean().default(true),
  /** What remembered images do: their loss is added (`er`), only kept from rising (`agem`), or nothing. */
  replay: z.enum(["er", "agem", "none"]).default("er"),
  /** α of `er`. */
  replayWeight: z.number().min(0).default(1),
  /** Which images of a domain are remembered: a sample of all, or its first, as EdgeVisionBench and Mammoth's A-GEM (one batch) do. */
  remembers: z.enum(["sample", "first"]).default("sample"),
  /** Images that are remembered of the source and of each domain. */
  perDomain: z.int().min(1).default(100),
  /** λ of λ·Σ F (θ - θ⁰)², which holds what mattered on the source (EWC); 0 for none. */
  ewc: z.number().min(0).default(0),
  /** Whether the penalty is halved, as in the paper of EWC. */
  ewcHalf: z.boolean().default(false),
  /** What F squares: the mean gradient of each batch, or the gradients of single images. */
  importance: z.enum(["batches", "samples"]).default("batches"),
  epochs: z.int().min(1).default(1),
});

/**
 * CUA: draws the features of a domain to those that the source model has of source images, and replays images of the source, with their labels,
 * and of earlier domains, with its own predictions.
 *
 * The classifier stays. Features are the input of the last layer, a map by its mean; those of the source are made with the stored statistics.
 * Cost: with replay three forwards and two backwards in one step.
 * Source: continual unsupervised adaptation as in EdgeVisionBench, https://github.com/LINC-BIT/EdgeVisionBench; A-GEM: Chaudhry et al. 2019,
 * arXiv:1812.00420; EWC: Kirkpatrick et al. 2017, arXiv:1612.00796, by default without ½, as in Avalanche and Mammoth.
 * Differs: the pseudo-labels of a domain are those before each update.
 */
export const cua = defineMethod({
  name: "cua",
  summary: "features drawn to those of the source by MMD or CORAL, with replay, A-GEM or EWC against forgetting",
  labels: "none",
  source: "images",
  options,
  plan({ model, options, importance }) {
    const alignment = alignmentLoss(findHead("cua", model).features, alignmentOf(options));
    const replayed = options.replay === "er" ? ([[options.replayWeight, replayLoss]] as const) : [];
    const loss = weightedSum([[options.alignmentWeight, alignment], ...replayed]);
    const strength = options.ewc * (options.ewcHalf ? 0.5 : 1);
    return {
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: {
        loss: importance && options.ewc > 0 ? withPenalty(loss, importance, { strength }) : loss,
        ...(options.replay === "agem" && { descent: projected(replayLoss) }),
        optimizer: optimizerOf(options),
        parameters: parametersToTrain("cua", model, options.trains),
        learningRate: options.learningRate,
        epochs: options.epochs,
      },
      wantsImportance: options.ewc > 0 ? options.importance : undefined,
      control: (host) => controlCua(host, options),
    };
  },
});

function alignmentOf({ alignment, kernels, coralScale, coralMeans, ...others }: z.output<typeof options>): Alignment {
  if (alignment === "coral") return correlationAlignment({ scale: coralScale, means: coralMeans });
  const form = MMD_FORMS[alignment];
  return maximumMeanDiscrepancy({ ...form, kernels, estimator: others.estimator ?? form.estimator });
}

/** The distance to the features that the source model has of the images `source`. */
const alignmentLoss = (features: string, alignment: Alignment): Loss => ({
  name: "alignment",
  targets: "none",
  build({ emit, value, pass, measure }) {
    const source = pooledFeatures(emit, pass("source", "source").value(features));
    const distance = alignment(emit, source, pooledFeatures(emit, value(features)));
    measure("distance", distance);
    return distance;
  },
});

/** Cross-entropy on the images `replay` with the input `replay-labels`. */
const replayLoss: Loss = {
  name: "replay",
  targets: "none",
  build(context) {
    const { output } = context.pass("replay");
    const targets = context.input("replay-labels", { dtype: "int64", dims: output.dims.toSpliced(1, 1) });
    const loss = crossEntropy().build({ ...context, output, targets });
    context.measure("replay", loss);
    return loss;
  },
};

function controlCua(host: Host, { replay, perDomain, remembers }: z.output<typeof options>): Control {
  const memory = new ReplayMemory(perDomain, host.random, remembers);
  const remember = async (): Promise<void> => {
    for (let images = 0; images < perDomain;) {
      const batch = await nextSource(host);
      memory.add({ images: batch.images, labels: batch.targets! });
      images += batch.images.dims[0]!;
    }
    memory.endDomain();
  };
  const inputsFor = async (count: number): Promise<Record<string, Labelled["images"]>> => {
    const source = firstImages((await nextSource(host)).images, count);
    if (replay === "none") return { source };
    if (memory.isEmpty) await remember();
    const { images, labels } = memory.draw(count);
    return { source, replay: images, "replay-labels": labels };
  };
  return {
    beginPass: (pass) => {
      if (pass === 0) memory.endDomain();
      return Promise.resolve();
    },
    step: async ({ images }: StreamBatch) => {
      const report = await host.step({ images, inputs: await inputsFor(images.dims[0]!) });
      if (replay !== "none") memory.add({ images, labels: likeliest(report.prediction) });
      return report;
    },
    reset: () => memory.clear(),
  };
}
