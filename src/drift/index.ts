/** How accurate a model is on pictures without labels. */
export * from "./confidence.js";
export * from "./disagreement.js";
export * from "./threshold.js";
export * from "./transport.js";
