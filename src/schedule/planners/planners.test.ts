import { describe, expect, it } from "vitest";
import { checkPlannerContract, type ContractOptions } from "./contract.test-helper.js";
import { PLANNER_NAMES, type PlannerName, PLANNERS } from "./index.js";

const ours = { readsCurves: true, usesWeights: true, trains: true };
/** Total, so that a planner without a place in the suite does not compile. */
const CLAIMS: Readonly<Record<PlannerName, ContractOptions>> = {
  filterGrained: ours,
  uniform: { readsCurves: false, usesWeights: false, trains: true },
  // expects every app to gain, whatever its trials show
  ekya: { readsCurves: false, usesWeights: true, trains: true },
  recl: { readsCurves: false, usesWeights: false, trains: true },
  dnnGrained: ours,
  withoutEstimator: { ...ours, readsCurves: false },
  withoutRemodeling: ours,
  withoutTraining: { ...ours, trains: false },
  withoutTurns: ours,
};

for (const name of PLANNER_NAMES) checkPlannerContract(PLANNERS[name], CLAIMS[name]);

describe("planners", () => {
  it("have the names that they are listed under", () => {
    for (const name of PLANNER_NAMES) expect(PLANNERS[name].name).toBe(name);
  });
});
