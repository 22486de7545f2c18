import { z } from "zod";
import { defineMethod, type Method, parametersToTrain, shotIm } from "../../adapt/index.js";
import { adam } from "../../graph/index.js";
import type { Strategy } from "../../elastic/index.js";
import type { TaskHead, TaskName } from "../../vision/index.js";

/** How an app learns. */
export interface AppMethod {
  readonly method: Method;
  readonly methodOptions?: unknown;
  /** Which filters train; sensitivity is the entropy of classes, and asks for some. */
  readonly strategy?: Strategy | undefined;
}

/** Trains what a scope leaves on lessons with labels, by the loss of the task. */
export const taught = (head: Pick<TaskHead<unknown>, "loss">): Method =>
  defineMethod({
    name: "taught",
    summary: "the loss of the task on labelled samples",
    labels: "required",
    outputs: "any",
    options: z.strictObject({ learningRate: z.number().positive().default(1e-3) }),
    plan: ({ model, options: { learningRate } }) => ({
      statistics: { sourceWeight: 0, variance: "unbiased" },
      train: {
        ...{ loss: head.loss, optimizer: adam(), learningRate, epochs: 1 },
        parameters: parametersToTrain("taught", model, "all"),
      },
    }),
  });

type MethodTable = Readonly<Record<TaskName, (head: TaskHead<unknown>) => AppMethod>>;

const METHODS: MethodTable = {
  // scales and biases alone: whole filters gain more at first, then lose
  classification: () => ({ method: shotIm, methodOptions: { trains: "norm" } }),
  // its classes are sure and diverse place by place
  segmentation: () => ({ method: shotIm, methodOptions: { trains: "norm", learningRate: 3e-4 } }),
  // a heat map has no classes to be diverse over: labels
  detection: (head) => ({ method: taught(head), methodOptions: { learningRate: 3e-4 }, strategy: "all" }),
};

/** How apps of a task learn, as chosen on corrupted pictures of the source. */
export const methodOf = (task: TaskName, head: TaskHead<unknown>): AppMethod => METHODS[task](head);
