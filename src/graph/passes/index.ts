export { blockConvolutions } from "./blocked.js";
export { bindDims, type Binding } from "./bind.js";
export { costOf, type ModelCost, type NodeCost } from "./cost.js";
export { foldConstants } from "./fold.js";
export { inferShapes } from "./shapes.js";
export { sweepDead } from "./sweep.js";
export { NEWEST_OPSET, OLDEST_OPSET, upgradeOpset } from "./upgrade.js";
export * from "./parameters.js";
export { prepareModel } from "./prepare.js";
