export { fromReference, toReference } from "../ops/index.js";
export { evaluate, type EvaluateOptions, evaluateNode, type Feeds } from "./evaluate.js";
