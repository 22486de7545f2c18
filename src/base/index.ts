export * from "./equal.js";
export * from "./errors.js";
export * from "./progress.js";
export * from "./random.js";
export * from "./side-by-side.js";
export * from "./statistics.js";
export * from "./tensor.js";
