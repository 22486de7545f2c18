export * from "./confusion.js";
export * from "./count.js";
export * from "./decide.js";
export * from "./measure.js";
export * from "./need.js";
export * from "./network.js";
export * from "./snow.js";
export * from "./train.js";
