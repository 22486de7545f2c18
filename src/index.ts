/**
 * Vision models that stay accurate on the device they run on: ONNX in, adapted ONNX out.
 *
 * What a program usually needs; `limber/graph`, `limber/run/node`, `limber/vision`, `limber/adapt` and `limber/elastic` have the rest.
 */
export {
  accuracyOf,
  adapt,
  type AdaptOptions,
  type AdaptResult,
  bn,
  defineMethod,
  type DomainReport,
  evaluate,
  type EvaluateOptions,
  finetune,
  findMethod,
  type Method,
  METHODS,
  source,
  type Tally,
  tent,
  train,
  type TrainingOptions,
  type TrainingResult,
} from "./adapt/index.js";
export {
  ERROR_CODES,
  type ErrorCode,
  isLimberError,
  LimberError,
  type LongCall,
  type OnProgress,
  type Progress,
} from "./base/index.js";
export { buildNetwork, type Model, NETWORKS, prepareModel, readModel, writeModel } from "./graph/index.js";
export { createMachine, type Machine, Predictor, readModelFile, Trainer, writeModelFile } from "./run/node.js";
export {
  createStream,
  type Dataset,
  type Domain,
  type Preprocessing,
  parsePreprocessing,
  readDataset,
  resolvePreprocessing,
} from "./vision/index.js";
export { createWorld } from "./vision/world/index.js";
