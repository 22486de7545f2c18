export * from "./errors.js";
export * from "./progress.js";
export * from "./random.js";
export * from "./tensor.js";
