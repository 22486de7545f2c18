import type { Planner } from "../plan.js";
import { ekya } from "./ekya.js";
import { filterGrained } from "./filter-grained.js";
import { recl } from "./recl.js";
import { uniform } from "./uniform.js";
import { dnnGrained, withoutEstimator, withoutRemodeling, withoutTraining, withoutTurns } from "./variants.js";

export { bruteForce, shareOfOptimum, worthOf } from "./brute-force.js";
export { randomRequest, type RandomRequestOptions } from "./random-request.js";
export { filterGrained, type FilterGrainedOptions } from "./filter-grained.js";
export { dnnGrained, ekya, recl, uniform, withoutEstimator, withoutRemodeling, withoutTraining, withoutTurns };

/** Ours first, then baselines, then ours without a part. A new planner is one file and one line here; the contract suite picks it up. */
export const PLANNERS = {
  filterGrained: filterGrained({ isOrdered: true }),
  ...{ uniform, ekya, recl, dnnGrained },
  ...{ withoutEstimator, withoutRemodeling, withoutTraining, withoutTurns },
} as const satisfies Readonly<Record<string, Planner>>;

export type PlannerName = keyof typeof PLANNERS;
export const PLANNER_NAMES = Object.keys(PLANNERS) as readonly PlannerName[];
