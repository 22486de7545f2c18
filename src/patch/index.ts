/** PatchLine: which patches a drift takes, in which order and from which start models are patched, on which samples, at what cost. */
export * from "./budget.js";
export * from "./files.js";
export * from "./fine-tune.js";
export * from "./ledger.js";
export * from "./library.js";
export * from "./order.js";
export * from "./policy.js";
export * from "./predictor/index.js";
export * from "./select.js";
export * from "./similarity.js";
export * from "./step-cost.js";
export * from "./trigger.js";
export * from "./warm.js";
export * from "./books.js";
export * from "./line.js";
export * from "./member.js";
export * from "./statistics.js";
