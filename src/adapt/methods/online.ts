import { z } from "zod";
import { adam, type Descent, type Loss, type Model, type Optimizer, sgd, type Statistics } from "../../graph/index.js";
import type { ResetOptions, StepReport } from "../../run/node.js";
import { type Control, type Host, type MethodPlan, parametersToTrain, type StreamBatch } from "../method.js";

/** The options that every method has which trains. */
export const trainingOptions = {
  learningRate: z.number().positive().default(1e-3),
  optimizer: z.enum(["adam", "sgd"]).default("adam"),
  /** SGD: weight of the past gradients. */
  momentum: z.number().min(0).max(1).default(0.9),
  /** SGD: looks ahead, as the test-time-adaptation benchmark of 2023 does; the authors' codes do not. */
  nesterov: z.boolean().default(false),
  /** Adam: beside the root; 1e-7 in TensorFlow. */
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().min(0).default(0),
  /** What trains: scale and bias of the normalizations, all but the classifier, or everything. */
  trains: z.enum(["norm", "features", "all"]).default("norm"),
};

/** The options that every method has which trains on each batch of a stream as it comes. Defaults: those of the authors' code. */
export const onlineOptions = {
  ...trainingOptions,
  stepsPerBatch: z.int().min(1).default(1),
  /** Which prediction is served: that before the update, or after it, with statistics of the batch or the tracked ones. */
  serves: z.enum(["before", "after", "stored"]).default("before"),
  /** RDumb: starts from the source again every so many batches; 0 never does. Source: Press et al. 2023, arXiv:2306.05401. */
  resetEvery: z.int().min(0).default(0),
};

type TrainingOptions = z.output<z.ZodObject<typeof trainingOptions>>;
type OnlineOptions = z.output<z.ZodObject<typeof onlineOptions>>;

export const optimizerOf = ({ optimizer, momentum, nesterov, epsilon, weightDecay }: TrainingOptions): Optimizer =>
  optimizer === "adam" ? adam({ epsilon, weightDecay }) : sgd({ momentum, nesterov, weightDecay });

/** What sets one such method apart from the others. */
export interface OnlineMethod {
  readonly name: string;
  readonly loss: Loss;
  /** Default: those of the batch. */
  readonly statistics?: Statistics;
  readonly descent?: Descent;
  /** Parameters of these that stay as they are. */
  readonly isFrozen?: (parameter: string) => boolean;
  /** How `resetEvery` resets. */
  readonly resets?: ResetOptions;
  /** What follows each step. */
  readonly follow?: (host: Host) => Follow;
}

export interface Follow {
  readonly after: (report: StepReport) => Promise<void>;
  readonly reset?: () => void;
}

/** The plan of a method that trains on each batch once, or `stepsPerBatch` times. Throws: `method.unsuitable`. */
export function planOnline(model: Model, options: OnlineOptions, method: OnlineMethod): MethodPlan {
  const { loss, descent, statistics = { sourceWeight: 0, variance: "unbiased" }, isFrozen = () => false } = method;
  const parameters = parametersToTrain(method.name, model, options.trains).filter((name) => !isFrozen(name));
  const { stepsPerBatch, serves, resetEvery, learningRate } = options;
  const isPlain = stepsPerBatch === 1 && serves === "before" && resetEvery === 0 && !method.follow;
  return {
    statistics,
    train: { loss, optimizer: optimizerOf(options), parameters, learningRate, epochs: 1, ...(descent && { descent }) },
    ...(!isPlain && { control: (host: Host) => controlOnline(host, options, method) }),
  };
}

function controlOnline(host: Host, options: OnlineOptions, method: OnlineMethod): Control {
  const { stepsPerBatch, serves, resetEvery } = options;
  const follow = method.follow?.(host);
  let batches = 0;
  return {
    async step({ images, targets }: StreamBatch): Promise<StepReport> {
      if (resetEvery > 0 && batches++ % resetEvery === 0) await host.reset(method.resets);
      let report = await host.step({ images, targets });
      await follow?.after(report);
      for (let i = 1; i < stepsPerBatch; i++) {
        report = await host.step({ images, targets });
        await follow?.after(report);
      }
      if (serves === "before") return report;
      const { prediction } = await host.predict(images, { statistics: serves === "after" ? "plan" : "stored" });
      return { ...report, prediction };
    },
    reset: () => follow?.reset?.(),
  };
}
