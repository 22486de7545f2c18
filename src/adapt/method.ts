import type { z } from "zod";
import { LimberError } from "../base/index.js";
import { type Model, type Parameter, parametersOf, type Statistics, type TrainOptions } from "../graph/index.js";

/** What a method gets to see before it decides what to do. */
export interface PlanContext<Options> {
  readonly model: Model;
  /** Images per step. */
  readonly batchSize: number;
  readonly options: Options;
}

/** What a method does in each step. The loop, seeds, evaluation and reset belong to the engine. */
export interface MethodPlan {
  readonly statistics: Statistics;
  readonly train?: TrainOptions & {
    readonly learningRate: number;
    /** Passes over the labelled samples; an online method sees each batch once. */
    readonly epochs: number;
  };
}

/** An adaptation method: a declaration of what it trains, when it refuses, what it minimises. */
export interface Method<Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly summary: string;
  /** `none`: adapts to each batch of the stream as it comes. `required`: trains on labelled samples. */
  readonly labels: "none" | "required";
  readonly options: Schema;
  /** Throws `method.unsuitable` when the model does not fit, `config.invalid` when the options do not. */
  plan(context: PlanContext<z.output<Schema>>): MethodPlan;
}

export const defineMethod = <Schema extends z.ZodType>(method: Method<Schema>): Method<Schema> => method;

/** Checks the options of a method and makes its plan. Throws: `config.invalid`, `method.unsuitable`. */
export function planMethod(method: Method, model: Model, batchSize: number, options: unknown): MethodPlan {
  const parsed = method.options.safeParse(options ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const message = `method "${method.name}" option "${issue.path.join(".")}": ${issue.message}`;
    throw new LimberError("config.invalid", message, { method: method.name, issues: parsed.error.issues });
  }
  return method.plan({ model, batchSize, options: parsed.data });
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
