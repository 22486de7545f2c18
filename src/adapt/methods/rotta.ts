import { z } from "zod";
import { averaged, distillation, TEACHER } from "../../graph/index.js";
import type { StepReport } from "../../run/node.js";
import { type Control, defineMethod, type Host, parametersToTrain } from "../method.js";
import { certaintyOf } from "../probabilities.js";
import { CategoryBank } from "../replay/category-bank.js";
import { imageAt, stackImages } from "../replay/images.js";
import { isClassifier } from "../task.js";
import { optimizerOf, trainingOptions } from "./online.js";
import { teacherOptions } from "./teacher.js";

const options = z.strictObject({
  ...trainingOptions,
  ...teacherOptions,
  /** Images that the bank holds. */
  capacity: z.int().min(1).max(4096).default(64),
  /** Images of the stream between steps; default: as many as the bank holds. */
  every: z.int().min(1).optional(),
  /** How much of the teacher stays in each step. */
  decay: z.number().min(0).max(1).default(0.999),
  /** How much of each batch enters the statistics. */
  alpha: z.number().gt(0).max(1).default(0.05),
  /** Weights of age and of uncertainty in what the bank lets go. */
  timeWeight: z.number().min(0).default(1),
  uncertaintyWeight: z.number().min(0).default(1),
  /** Which of equal scores goes: the last in the authors' code. */
  ties: z.enum(["last", "first"]).default("last"),
  /** Whether a class may hold 7 where its share of the bank is 6.4, as in the authors' code, or 6. */
  share: z.enum(["fraction", "whole"]).default("fraction"),
  /** Beside the probabilities in the logarithm. */
  entropyEpsilon: z.number().min(0).default(1e-6),
});

/**
 * RoTTA: for streams whose neighbouring images are alike. Normalization by a slow average of the statistics, and steps on a bank of images
 * that is balanced over the predicted classes: the student sees strong views of it, its averaged teacher the images, and young ones count more.
 *
 * Served and exported is the teacher with statistics of its own, as it was before the step.
 * Cost: a forward; every `every` images a forward and a step on the bank, compiled anew for each size that the bank has while it fills.
 * Source: Yuan et al. 2023, arXiv:2303.13899, with the defaults of the authors' code.
 * Differs: for maps of classes the bank goes by the mean over places, and strong views leave things in place.
 */
export const rotta = defineMethod({
  name: "rotta",
  summary: "normalization layers after an averaged teacher, on a balanced bank of images; for correlated streams",
  labels: "none",
  outputs: "any",
  options,
  plan({ model, options }) {
    return {
      statistics: { sourceWeight: 1 - options.alpha, variance: "biased", source: "tracked" },
      train: {
        loss: distillation({ lifetime: options.capacity }),
        optimizer: averaged(optimizerOf(options), { decay: options.decay }),
        parameters: parametersToTrain("rotta", model, options.trains),
        learningRate: options.learningRate,
        epochs: 1,
      },
      exports: TEACHER,
      control: (host) => controlRotta(host, { ...options, placement: isClassifier(model) }),
    };
  },
});

export interface RottaControl extends z.output<typeof options> {
  /** Whether strong views may move things to another place. */
  readonly placement: boolean;
}

function controlRotta(
  host: Host,
  { capacity, every = capacity, placement, viewsPer: per, ...rules }: RottaControl,
): Control {
  let bank: CategoryBank<ReturnType<typeof imageAt>> | undefined;
  let seen = 0;
  const stepOnBank = async (): Promise<StepReport> => {
    const items = bank!.items();
    const images = stackImages(items.map(({ sample }) => sample));
    const { prediction: targets } = await host.predict(images, { weights: TEACHER });
    const ages = { dtype: "float32", dims: [items.length], data: Float32Array.from(items, ({ age }) => age) } as const;
    return host.step({ images: host.augment(images, { placement, per }), targets, inputs: { ages } });
  };
  return {
    step: async ({ images }) => {
      const { prediction } = await host.predict(images, { weights: TEACHER, statistics: "stored" });
      bank ??= new CategoryBank({ capacity, classes: prediction.dims[1]!, ...rules });
      let report: StepReport | undefined;
      for (const [index, { label, entropy }] of certaintyOf(prediction, rules.entropyEpsilon).entries()) {
        bank.add(imageAt(images, index), label, entropy);
        if (++seen % every === 0) report = await stepOnBank();
      }
      return { ...(report ?? NO_STEP), prediction };
    },
    reset: () => {
      bank?.clear();
      seen = 0;
    },
  };
}

/** What to report of a batch on which nothing was trained. */
const NO_STEP: Omit<StepReport, "prediction"> = {
  ...{ loss: undefined, gradientNorm: undefined, measures: {}, observed: {} },
  ...{ accepted: true, updated: false, runMs: 0 },
};
