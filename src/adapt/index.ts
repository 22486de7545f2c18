/** Adaptation: methods, the loop that runs them, evaluation, training. */
export * from "./adapt.js";
export * from "./evaluate.js";
export * from "./evaluate-task.js";
export * from "./guard.js";
export * from "./importance.js";
export * from "./method.js";
export * from "./method-run.js";
export * from "./methods/index.js";
export * from "./metrics.js";
export * from "./options.js";
export { Refusals } from "./refusals.js";
export { isClassifier } from "./task.js";
export * from "./train.js";
