/** Shares of a device in time: credits, and the slicer that runs jobs by them. */
export * from "./clock.js";
export * from "./credits.js";
export * from "./time-slicer.js";
