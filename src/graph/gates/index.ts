/** Gates on channels: where they can stand, k-takes-all, and the small dense models that are left when they close. */
export { type Boost, boostsOf, foldBoosts, unfoldBoosts } from "./boosts.js";
export { type Choice, choose, type ChoiceOptions, type Filters, type Scores, type Surrogate } from "./choice.js";
export { type Feedback, feedBack, reuseFilters, undoFeedback } from "./feedback.js";
export {
  addGates,
  fixSparsity,
  type Gate,
  type GateOptions,
  gateParameters,
  gatesOf,
  type Gating,
  removeGates,
  SPARSITY,
} from "./gates.js";
export { findGateSites, type GateSite, type GateSites } from "./sites.js";
export { attachStatistics, type LevelStatistics, levelsOf, selectStatistics, statisticsOf } from "./statistics.js";
export { boostValues, openMaster, SurrogateCutter } from "./surrogate.js";
export { keepLargest, keptCount, takeLargest } from "./take-largest.js";
