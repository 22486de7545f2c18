export { corrupt, inferFamily, type CorruptOptions } from "./corrupt.js";
export { corruptDomain, type CorruptDomainOptions } from "./corrupt-domain.js";
export { CORRUPTIONS, corruptionNames, isCorruptionName, type CorruptionName } from "./registry.js";
export { nameShift, parseDrift, parseShift, type DriftName, type Shift, shiftDomain } from "./shift.js";
export { snowImage } from "./squares.js";
export {
  CORRUPTION_FAMILIES,
  SEVERITIES,
  type BySeverity,
  type Corruption,
  type CorruptionFamily,
  type CorruptionSet,
  type Severity,
} from "./types.js";
