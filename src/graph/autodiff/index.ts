export * from "./backward.js";
export * from "./losses.js";
export * from "./normalization.js";
export * from "./optimizers.js";
export * from "./step.js";
export { findFrontier, modelFrom, modelUpTo } from "./prefix.js";
export { largestRows, leadingRows, outputAxisOf, putRows, type Rows } from "./rows.js";
export { splitUpdate, type StepPhases } from "./phases.js";
