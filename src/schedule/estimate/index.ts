/** Scores of apps without labels: what models tell, what that says of their scores, and what training would bring. */
export {
  type Curve,
  type EstimateOptions,
  type Estimator,
  type EstimatorRecord,
  type KindRecord,
  type Observation,
} from "./estimator.js";
export { fitEstimator } from "./fit.js";
export * from "./judge.js";
export { type SignalHead } from "./reading.js";
export * from "./signals.js";
export * from "./synthetic-trace.js";
export { ScoreTracker } from "./tracker.js";
export { readEstimator, writeEstimator } from "./store.js";
