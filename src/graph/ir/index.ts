export * from "./attributes.js";
export * from "./traverse.js";
export * from "./types.js";
export * from "./verify.js";
