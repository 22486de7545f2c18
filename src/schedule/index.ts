/** The filter-grained scheduler: which app keeps how many filters, trains for how long, and gets what share of the device. */
export * from "./app.js";
export * from "./describe-plan.js";
export * from "./objective.js";
export * from "./plan.js";
export * from "./planner-request.js";
export * from "./planners/index.js";
export * from "./running-app.js";
export * from "./trace.js";
export * from "./simulate/index.js";
export * from "./slice/index.js";
export * from "./estimate/index.js";
export * from "./live/index.js";
export * from "./profile/index.js";
export * from "./apps/index.js";
export * from "./record/index.js";
export * from "./kinds/index.js";
