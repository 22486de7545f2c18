import { z } from "zod";
import { averaged, distillation, TEACHER } from "../../graph/index.js";
import { defineMethod, parametersToTrain } from "../method.js";
import { isClassifier } from "../task.js";
import { optimizerOf, trainingOptions } from "./online.js";
import { batchTeacherOptions } from "./teacher.js";

/**
 * Self-training: where an averaged teacher is sure of what it sees, the student learns to say the same of a strong view.
 *
 * Served and exported is the teacher, with the mean statistics of the domain. Asks nothing of the output but classes on axis 1.
 * Cost: a forward and a step.
 * Source: Tarvainen & Valpola 2017, arXiv:1703.01780; threshold, hard labels and the mean over sure and unsure ones as in FixMatch, Sohn et
 * al. 2020, arXiv:2001.07685.
 * Differs: no labelled images; the teacher sees the image itself; strong views are those of CoTTA, without placements for maps.
 */
export const meanTeacher = defineMethod({
  name: "mean-teacher",
  summary: "self-training on strong views after an averaged teacher that is sure; also for maps of classes",
  labels: "none",
  outputs: "any",
  options: z.strictObject({
    ...trainingOptions,
    ...batchTeacherOptions,
    trains: trainingOptions.trains.default("all"),
    /** How much of the teacher stays in each step. */
    decay: z.number().min(0).max(1).default(0.99),
    /** Below which probability of its class the teacher is not followed. */
    confidence: z.number().min(0).max(1).default(0.95),
    /** Whether the teacher's class is learnt, or its whole distribution. */
    targets: z.enum(["hard", "soft"]).default("hard"),
  }),
  plan({ model, options }) {
    const { confidence, targets, decay, learningRate, viewsPer: per } = options;
    const placement = isClassifier(model);
    return {
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: {
        loss: distillation({ labels: targets, confidence }),
        optimizer: averaged(optimizerOf(options), { decay }),
        parameters: parametersToTrain("mean-teacher", model, options.trains),
        learningRate,
        epochs: 1,
      },
      exports: TEACHER,
      control: (host) => ({
        step: async ({ images }) => {
          const { prediction } = await host.predict(images, {
            weights: TEACHER,
            tracks: options.teacherStatistics === "own",
          });
          const report = await host.step({ images: host.augment(images, { placement, per }), targets: prediction });
          return { ...report, prediction };
        },
      }),
    };
  },
});
