import { formatShape, LimberError } from "../base/index.js";
import type { Model } from "../graph/index.js";
import type { Method, MethodPlan } from "./method.js";

/** True when the first output has a score per class and no axes beyond that, or does not say. */
export function isClassifier({ graph }: Model): boolean {
  const dims = graph.outputs[0]?.dims;
  return !dims || (dims.length >= 2 && dims.slice(2).every((size) => size === 1));
}

/**
 * Detectors and segmenters can be given new statistics, which asks nothing of the outputs; the losses are those of classifiers.
 * Throws: `method.unsuitable`.
 */
export function checkTask({ name, outputs }: Method, plan: MethodPlan, model: Model): void {
  if (outputs === "any" || (!plan.train && !plan.control) || isClassifier(model)) return;
  const output = model.graph.outputs[0]!;
  const message = `method "${name}": a classifier whose first output is [N,K], got "${output.name}" ${formatShape(output.dims ?? [])}; use bn, which needs no loss`;
  throw new LimberError("method.unsuitable", message, { method: name, output: output.name });
}
