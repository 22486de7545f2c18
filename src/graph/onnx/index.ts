export { DEFAULT_LIMITS, type ReadLimits } from "./limits.js";
export { type ReadOptions, readModel } from "./read.js";
export type { ExternalData } from "./tensor.js";
export { writeModel } from "./write.js";
