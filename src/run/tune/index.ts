export { findCacheFolder, findMachineKey, type MachineKey } from "./cache.js";
export {
  type Change,
  type TuneMode,
  TUNE_MODES,
  type TuneOptions,
  type TuneSettings,
  tuneStep,
  type Tuning,
} from "./tune.js";
