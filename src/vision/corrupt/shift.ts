import { LimberError } from "../../base/index.js";
import type { Domain } from "../data/types.js";
import { corruptDomain } from "./corrupt-domain.js";
import { type CorruptionName, corruptionNames, isCorruptionName } from "./registry.js";
import { SEVERITIES, type Severity } from "./types.js";

/** Corruptions, one upon the other. */
export type Shift = readonly (readonly [CorruptionName, Severity])[];

/** What a drift is called: `dusk`, `fog 4`, or `dusk, fog 4, motion_blur 2`. */
export interface DriftName {
  /** Default: the source. */
  readonly domain?: string | undefined;
  readonly shift: Shift;
}

/** Reads the name of a drift. What is not a corruption with its severity is a domain. Throws: `config.invalid`. */
export function parseDrift(text: string): DriftName {
  const parts = text.split(",").map((part) => part.trim());
  const [first = ""] = parts;
  const domain = findCorruption(first) ? undefined : first;
  return { domain, shift: parts.slice(domain === undefined ? 0 : 1).map(parseCorruption) };
}

/** Reads corruptions alone. Throws: `config.invalid`. */
export const parseShift = (text: string): Shift => text.split(",").map((part) => parseCorruption(part.trim()));

export const nameShift = (shift: Shift): string =>
  shift.map(([corruption, severity]) => `${corruption} ${severity}`).join(", ");

/** The same pictures under all of these corruptions, one upon the other. */
export const shiftDomain = (domain: Domain, shift: Shift): Domain =>
  shift.reduce((each, [corruption, severity]) => corruptDomain(each, corruption, { severity, seed: severity }), domain);

function findCorruption(text: string): Shift[number] | undefined {
  const [name = "", level, ...rest] = text.split(" ");
  const severity = SEVERITIES.find((each) => String(each) === level);
  return isCorruptionName(name) && severity !== undefined && rest.length === 0 ? [name, severity] : undefined;
}

function parseCorruption(text: string): Shift[number] {
  const found = findCorruption(text);
  if (found) return found;
  const message = `corruption: a name and a severity from 1 to 5, such as "fog 4", got "${text}"; the names are ${corruptionNames().join(", ")}`;
  throw new LimberError("config.invalid", message, { text });
}
