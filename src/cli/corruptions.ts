import { LimberError } from "../base/index.js";
import { type CorruptionName, corruptionNames, isCorruptionName } from "../vision/corrupt/index.js";

/** Names that stand for several corruptions, besides `all`. */
export const CORRUPTION_SETS = ["reported", "held-out", "patchline"] as const;

/** The corruptions that a list of names and sets speaks of, each once. Throws: `config.invalid`, listing the names. */
export const expandCorruptions = (given: readonly string[]): CorruptionName[] => [
  ...new Set(given.flatMap(expandName)),
];

function expandName(name: string): CorruptionName[] {
  if (name === "all") return corruptionNames();
  const set = CORRUPTION_SETS.find((each) => each === name);
  if (set) return corruptionNames(set);
  if (isCorruptionName(name)) return [name];
  throw new LimberError("config.invalid", `corruption: one of ${corruptionNames().join(", ")}, got "${name}"`, {
    name,
  });
}
