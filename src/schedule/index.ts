/** The filter-grained scheduler: which app keeps how many filters, trains for how long, and gets what share of the device. */
export * from "./app.js";
export * from "./plan.js";
export * from "./running-app.js";
export * from "./trace.js";
