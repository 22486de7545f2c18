import type { Planner } from "../plan.js";
import { planByWeights } from "./fixed-level.js";

/** What a device does that knows nothing: one size for all, and equal parts of the time that predictions leave. */
export const uniform: Planner = {
  name: "uniform",
  summary: "one level for all apps, equal parts for training",
  plan: (request) => planByWeights("uniform", request, () => 1),
};
