import { z } from "zod";
import { LimberError } from "../../base/index.js";
import { adam, crossEntropy, headOf, type Model, parametersFrom, parametersOf, sgd } from "../../graph/index.js";
import { defineMethod, normalizationParameters } from "../method.js";

/**
 * Supervised fine-tuning on a few labelled samples of the new domain.
 *
 * The scope says what may move: everything, the normalization layers, the last layer, or all from a named node on.
 * Stored statistics stay fixed: a handful of samples estimates gradients better than variances.
 */
export const finetune = defineMethod({
  name: "finetune",
  summary: "cross-entropy on labelled samples; scope all, norm, head or from=<node>",
  labels: "required",
  options: z.strictObject({
    scope: z.union([z.enum(["all", "norm", "head"]), z.templateLiteral(["from=", z.string().min(1)])]).default("norm"),
    learningRate: z.number().positive().default(1e-3),
    optimizer: z.enum(["adam", "sgd"]).default("adam"),
    epochs: z.int().min(1).default(20),
    smoothing: z.number().min(0).max(0.5).default(0),
    /** Statistics of normalization layers while training: the stored ones, or those of each batch (tracked for export). */
    statistics: z.enum(["fixed", "batch"]).default("fixed"),
  }),
  plan({ model, options }) {
    return {
      statistics: options.statistics === "fixed" ? "fixed" : { sourceWeight: 0, variance: "unbiased" },
      train: {
        loss: crossEntropy({ smoothing: options.smoothing }),
        optimizer: options.optimizer === "adam" ? adam() : sgd({ momentum: 0.9 }),
        parameters: inScope(model, options.scope),
        learningRate: options.learningRate,
        epochs: options.epochs,
      },
    };
  },
});

function inScope(model: Model, scope: "all" | "norm" | "head" | `from=${string}`): string[] {
  const names = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);
  if (scope === "all") return names(parametersOf(model));
  if (scope === "norm") return names(normalizationParameters("finetune", model));
  if (scope === "head") return names(headOf(model));
  const start = scope.slice("from=".length);
  const node = model.graph.nodes.find(({ name, outputs }) => name === start || outputs.includes(start));
  if (!node) {
    throw new LimberError(
      "config.invalid",
      `scope: a node of the model, got "${start}"; \`limber inspect\` lists them`,
      { node: start },
    );
  }
  return names(parametersFrom(model, node));
}
