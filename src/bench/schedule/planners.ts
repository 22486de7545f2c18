import type { PlannerName } from "../../schedule/index.js";
import type { PLANNER_KINDS } from "./rows.js";

export type PlannerKind = (typeof PLANNER_KINDS)[number];

export const KIND_OF_PLANNER: Readonly<Record<PlannerName, PlannerKind>> = {
  filterGrained: "ours",
  ...{ uniform: "baseline", ekya: "baseline", recl: "baseline", dnnGrained: "baseline" },
  ...{
    withoutEstimator: "ablation",
    withoutRemodeling: "ablation",
    withoutTraining: "ablation",
    withoutTurns: "ablation",
  },
};

export const OURS = "filterGrained" satisfies PlannerName;
export const BASELINES = ["uniform", "ekya", "recl", "dnnGrained"] as const satisfies readonly PlannerName[];
export type Baseline = (typeof BASELINES)[number];
