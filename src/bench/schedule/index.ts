/** The benchmark of the scheduler: planners through scenarios, in the simulator and in real time. */
export {
  type PlannerFigures,
  type ScheduleCell,
  type ScheduleHeadline,
  scheduleHeadlineOf,
  timesOf,
} from "./headline.js";
export { type Baseline, BASELINES, KIND_OF_PLANNER, type PlannerKind } from "./planners.js";
export { flattenSchedule, type GrowthRow, growthRow, PLANNER_KINDS, type ScheduleRow, scheduleRow } from "./rows.js";
export {
  growth,
  type GrowthOptions,
  runSimulations,
  type SimulationPlace,
  type SimulationsOptions,
} from "./run-simulations.js";
export { drawScheduleReport, type SchedulePage } from "./page.js";
export { type EstimatePoint } from "./page-charts.js";
export { shareSeriesOf } from "./share-series.js";
export { measureKindsServing, type RealOptions, type RealRuns, runReal } from "./run-real.js";
export { measureBruteForceShare } from "./brute-force.js";
