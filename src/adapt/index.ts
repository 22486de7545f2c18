/** Adaptation: methods, the loop that runs them, evaluation, training. */
export * from "./adapt.js";
export * from "./evaluate.js";
export * from "./method.js";
export * from "./methods/index.js";
export * from "./metrics.js";
export { isClassifier } from "./task.js";
export * from "./train.js";
