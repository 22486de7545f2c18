import type { z } from "zod";
import { LimberError, type Random, type Tensor } from "../base/index.js";
import {
  headOf,
  type Model,
  type Parameter,
  parametersOf,
  type Statistics,
  type TrainOptions,
} from "../graph/index.js";
import type { Batch, Forward, ForwardOptions, ResetOptions, RunTensor, StepReport, StepSettings } from "../run/node.js";
import type { ViewOptions } from "../vision/index.js";

/** What a method gets to see before it decides what to do. */
export interface PlanContext<Options> {
  readonly model: Model;
  /** Images per step. */
  readonly batchSize: number;
  readonly options: Options;
  /** How much each parameter matters on source images, for methods that ask for it; absent where there are none. */
  readonly importance?: ReadonlyMap<string, Tensor> | undefined;
}

/** Whose gradients are squared to tell how much a parameter matters. */
export type ImportanceKind = "batches" | "samples";

/** What a method does in each step. The loop, seeds, evaluation and reset belong to the engine. */
export interface MethodPlan {
  readonly statistics: Statistics;
  readonly train?: TrainOptions & {
    readonly learningRate: number;
    /** Passes over the samples; an online method sees each batch once. */
    readonly epochs: number;
  };
  /** What is exported in place of the weights: an array that the optimizer keeps of each, by its name, such as a teacher. */
  readonly exports?: string;
  /**
   * Of a method that is given images of the source: to be planned again with `PlanContext.importance`, of the squared mean gradients of
   * batches, or of the squared gradients of single samples with the stored statistics.
   */
  readonly wantsImportance?: ImportanceKind | undefined;
  /** Values of the model that `control` reads beside the prediction, such as the features in front of the classifier. */
  readonly observe?: readonly string[];
  /** What happens on the host around the steps; default: a step on each batch. */
  readonly control?: (host: Host) => Control;
}

/** One batch of the stream, without its labels unless the method is given them. */
export interface StreamBatch {
  readonly images: RunTensor;
  readonly targets?: RunTensor | undefined;
  /** Which sample of the domain each image is. */
  readonly indices: ArrayLike<number>;
}

/**
 * The host side of a method: what it does around the steps. An object of closures over its own state, made once per run.
 * Everything that is differentiated or updated stays in the graph, so that the float64 reference runs the same method.
 */
export interface Control {
  /** Before each pass over the domain; `stream` reads it once from start to end. */
  readonly beginPass?: (pass: number, stream: () => AsyncIterable<StreamBatch>) => Promise<void>;
  /** Takes one batch of the stream and answers with what is served for it; default: `host.step`. */
  readonly step?: (batch: StreamBatch) => Promise<StepReport>;
  /** Forgets what it has learnt: the engine was reset, by a new domain, the collapse guard or `host.reset`. */
  readonly reset?: () => void;
  /** The adapted model as it is to be exported, where more than weights and statistics changed. */
  readonly exportModel?: (adapted: Model) => Model;
}

/** A parameter, or the rows of it that train. */
export interface TrainedShape {
  readonly name: string;
  readonly dims: readonly number[];
}

export interface PredictOptions extends Omit<ForwardOptions, "statisticsMomentum"> {
  /** These are the images of the coming step: averaged weights are exported with the mean of their statistics in this domain. */
  readonly tracks?: boolean | undefined;
}

export interface AugmentOptions extends ViewOptions {
  /** Whether a view is drawn once for all images (default), or for each. */
  readonly per?: "batch" | "image" | undefined;
}

/** What a control may ask of the engine. `Trainer` serves it, and in tests the float64 reference. */
export interface Host {
  /** One step of the plan on these images, learning rate and statistics momentum set by the loop unless given. */
  step(batch: Batch, settings?: StepSettings): Promise<StepReport>;
  /** A forward pass alone: current, source or averaged weights; stored statistics or those of the plan. */
  predict(images: RunTensor, options?: PredictOptions): Promise<Forward>;
  /** Weights, statistics, optimizer and the arrays that losses carry as at the start; then `control.reset`. */
  reset(options?: ResetOptions): Promise<void>;
  /** A view of images of the model's input. */
  augment(images: RunTensor, options?: AugmentOptions): RunTensor;
  /** What trains, in the shapes of `UpdateContext.input`. */
  readonly trained: readonly TrainedShape[];
  /** Randomness of this course: same seed, same draws. */
  readonly random: Random;
  /** Labelled images of the source, in batches without end, for methods that ask for them. */
  readonly source?: AsyncIterator<StreamBatch, never> | undefined;
}

/** Narrows what a method would train: the most sensitive filters, say, with the head frozen. */
export interface Scope {
  /** Train none but these. */
  readonly parameters?: readonly string[] | undefined;
  /** Of these parameters, only some output channels; see `TrainOptions.rows`. */
  readonly rows?: ReadonlyMap<string, readonly number[]> | undefined;
}

/** An adaptation method: a declaration of what it trains, when it refuses, what it minimises. */
export interface Method<Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly summary: string;
  /** `none`: adapts to each batch of the stream as it comes. `required`: trains on labelled samples. */
  readonly labels: "none" | "required";
  /** Whether it uses images of the source. Absent: it does not. */
  readonly source?: "images";
  /** What the first output may be where the method reads it: scores of classes (default), or maps of them too. */
  readonly outputs?: "classes" | "any";
  readonly options: Schema;
  /** Throws `method.unsuitable` when the model does not fit, `config.invalid` when the options do not. */
  plan(context: PlanContext<z.output<Schema>>): MethodPlan;
}

/** Which parameters a method trains: those of normalization layers, all but the classifier's, or all. */
export type Trains = "norm" | "features" | "all";

export const defineMethod = <Schema extends z.ZodType>(method: Method<Schema>): Method<Schema> => method;

/** What a caller may add to the model, the batch size and the options. */
export interface PlanSettings {
  readonly scope?: Scope | undefined;
  readonly importance?: ReadonlyMap<string, Tensor> | undefined;
}

/** Checks the options of a method and makes its plan. Throws: `config.invalid`, `method.unsuitable`. */
export function planMethod(
  method: Method,
  model: Model,
  batchSize: number,
  options: unknown,
  { scope, importance }: PlanSettings = {},
): MethodPlan {
  const parsed = method.options.safeParse(options ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const message = `method "${method.name}" option "${issue.path.join(".")}": ${issue.message}`;
    throw new LimberError("config.invalid", message, { method: method.name, issues: parsed.error.issues });
  }
  const plan = method.plan({ model, batchSize, options: parsed.data, importance });
  return scope ? narrowPlan(method.name, plan, scope) : plan;
}

function narrowPlan(method: string, plan: MethodPlan, scope: Scope): MethodPlan {
  if (!plan.train) return plan;
  const allowed = scope.parameters && new Set(scope.parameters);
  const parameters = plan.train.parameters.filter((name) => !allowed || allowed.has(name));
  if (parameters.length === 0) {
    const message = `method "${method}": a scope with one of the ${plan.train.parameters.length} parameters that it trains, got none; widen the scope, or what the method trains`;
    throw new LimberError("config.invalid", message, { method });
  }
  const rows = scope.rows && new Map([...scope.rows].filter(([name]) => parameters.includes(name)));
  return { ...plan, train: { ...plan.train, parameters, ...(rows && { rows }) } };
}

/** The scale and bias of every normalization. Throws: `method.unsuitable` when there is none. */
export function normalizationParameters(method: string, model: Model): Parameter[] {
  const found = parametersOf(model).filter(
    ({ role, node }) => role.startsWith("norm-") && node.op.endsWith("Normalization"),
  );
  if (found.length > 0) return found;
  const next =
    "export the model without folding BatchNormalization into Conv (PyTorch: training=TrainingMode.PRESERVE)";
  throw new LimberError(
    "method.unsuitable",
    `method "${method}": a model with normalization layers, got none; ${next}`,
    { method },
  );
}

/** The names of what a method trains. Throws: `method.unsuitable` when there is nothing of that kind. */
export function parametersToTrain(method: string, model: Model, trains: Trains): string[] {
  if (trains === "norm") return normalizationParameters(method, model).map(({ name }) => name);
  const head = trains === "features" ? new Set(headOf(model).map(({ name }) => name)) : new Set();
  const found = parametersOf(model).flatMap(({ name }) => (head.has(name) ? [] : [name]));
  if (found.length > 0) return found;
  const message = `method "${method}": a model with parameters ${trains === "features" ? "in front of the classifier" : ""}, got none`;
  throw new LimberError("method.unsuitable", message, { method });
}
