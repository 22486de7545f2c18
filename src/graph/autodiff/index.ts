export * from "./backward.js";
export * from "./losses.js";
export * from "./normalization.js";
export * from "./optimizers.js";
export * from "./step.js";
