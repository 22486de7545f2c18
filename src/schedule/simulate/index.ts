/** Scenarios on a virtual clock, driven by recorded traces. */
export {
  createScenario,
  type CreateScenarioOptions,
  SCENARIO_FAMILIES,
  SCENARIO_FAMILY_NAMES,
  type ScenarioFamily,
} from "./create-scenario.js";
export * from "./report.js";
export * from "./scenario.js";
export { simulate, type SimulateOptions } from "./simulate.js";
