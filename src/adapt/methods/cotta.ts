import { z } from "zod";
import { type Random, sizeOf } from "../../base/index.js";
import { averaged, distillation, restored, TEACHER } from "../../graph/index.js";
import type { Forward, RunTensor } from "../../run/node.js";
import { type Control, defineMethod, type Host, parametersToTrain } from "../method.js";
import { certaintyOf, mapNumbers, probabilitiesOf } from "../probabilities.js";
import { isClassifier } from "../task.js";
import { optimizerOf, trainingOptions } from "./online.js";
import { batchTeacherOptions } from "./teacher.js";

const options = z.strictObject({
  ...trainingOptions,
  ...batchTeacherOptions,
  trains: trainingOptions.trains.default("all"),
  /** How much of the teacher stays in each step. */
  decay: z.number().min(0).max(1).default(0.999),
  /** Views that the teacher's answers are averaged over; 0 leaves it at the image itself. */
  views: z.int().min(0).max(64).default(32),
  /** Views are used where the source model's mean confidence in a batch is below; 0.92 for 10 classes, 0.72 for 100, 0.1 for 1000. */
  threshold: z.number().min(0).max(1).default(0.92),
  /** What is averaged over the views: logits, as in the authors' code, or probabilities. */
  averages: z.enum(["logits", "probabilities"]).default("logits"),
  /** Who is served and exported; the student in EdgeVisionBench. */
  answers: z.enum(["teacher", "student"]).default("teacher"),
  /** How probably a number of the weights goes back to the source's. */
  restore: z.number().min(0).max(1).default(0.01),
  /** Half of the loss with the roles of teacher and student exchanged, as the authors do on ImageNet. */
  symmetric: z.boolean().default(false),
});

/**
 * CoTTA: every weight learns from a slow average of itself, asked about augmented views where the source model is unsure of a batch, and
 * a few weights at random go back to the source.
 *
 * Served and exported is the teacher.
 * Cost: a training step, 2 forwards, and `views` more where the source model is unsure.
 * Source: Wang et al. 2022, arXiv:2203.13591, with the defaults of the authors' code for CIFAR-10-C; on ImageNet it has threshold 0.1,
 * restore 0.001, SGD at 0.01 and is symmetric.
 * Differs: views are computed only for batches that need them, with placements only for classifiers.
 */
export const cotta = defineMethod({
  name: "cotta",
  summary: "all weights after an averaged teacher on augmented views, some restored at random; for long streams",
  labels: "none",
  outputs: "any",
  options,
  plan({ model, options }) {
    return {
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: {
        loss: distillation({ symmetric: options.symmetric }),
        optimizer: restored(averaged(optimizerOf(options), { decay: options.decay })),
        parameters: parametersToTrain("cotta", model, options.trains),
        learningRate: options.learningRate,
        epochs: 1,
      },
      ...(options.answers === "teacher" && { exports: TEACHER }),
      control: (host) => controlCotta(host, { ...options, placement: isClassifier(model) }),
    };
  },
});

export interface CottaControl extends z.output<typeof options> {
  /** Whether views may move things to another place. */
  readonly placement: boolean;
}

/** `drawMask` says which numbers of a parameter are restored. */
export function controlCotta(
  host: Host,
  { views, threshold, restore, placement, averages, viewsPer: per, answers, teacherStatistics }: CottaControl,
  drawMask: (name: string, size: number) => Float32Array = (_, size) => drawOnes(size, restore, host.random),
): Control {
  const isUnsure = async (images: RunTensor): Promise<boolean> => {
    if (views === 0) return false;
    const { prediction } = await host.predict(images, { weights: "source" });
    const certainties = certaintyOf(prediction);
    return certainties.reduce((sum, { confidence }) => sum + confidence, 0) / certainties.length < threshold;
  };
  const askViews = async (images: RunTensor): Promise<RunTensor> => {
    const found: Forward[] = [];
    while (found.length < views)
      found.push(await host.predict(host.augment(images, { placement, per }), { weights: TEACHER }));
    const predictions = found.map(({ prediction }) => prediction);
    return averages === "logits" ? meanOf(predictions) : logarithm(meanOf(predictions.map(probabilitiesOf)));
  };
  return {
    step: async ({ images }) => {
      const plain = await host.predict(images, { weights: TEACHER, tracks: teacherStatistics === "own" });
      const prediction = (await isUnsure(images)) ? await askViews(images) : plain.prediction;
      const masks = host.trained.map(({ name, dims }) => {
        const data = drawMask(name, sizeOf(dims));
        return [`restore:${name}`, { dtype: "float32", dims, data } as const] as const;
      });
      const report = await host.step({ images, targets: prediction, inputs: Object.fromEntries(masks) });
      return answers === "teacher" ? { ...report, prediction } : report;
    },
  };
}

/** Ones at random places, each with the same probability. */
export function drawOnes(size: number, probability: number, random: Random): Float32Array {
  const ones = new Float32Array(size);
  // The gaps between them are geometric, so a draw for each one is enough.
  const gap = (): number => Math.floor(Math.log(1 - random.next()) / Math.log1p(-probability));
  if (probability > 0) for (let at = gap(); at < size; at += 1 + gap()) ones[at] = 1;
  return ones;
}

/** Element by element, over tensors of one shape. */
const meanOf = (tensors: readonly RunTensor[]): RunTensor =>
  mapNumbers(tensors[0]!, (_, at) => tensors.reduce((sum, { data }) => sum + Number(data[at]), 0) / tensors.length);

/** Logits of which these are the softmax. */
const logarithm = (probabilities: RunTensor): RunTensor =>
  mapNumbers(probabilities, (p) => Math.log(Math.max(p, 1e-30)));
