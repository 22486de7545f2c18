export * from "./attributes.js";
export { parseModel } from "./parse.js";
export { printModel, type PrintOptions } from "./print.js";
export * from "./traverse.js";
export * from "./types.js";
export { encodeText, findText } from "./utf8.js";
export * from "./verify.js";
