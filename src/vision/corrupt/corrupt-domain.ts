import { Random } from "../../base/index.js";
import type { Domain } from "../data/types.js";
import { levelsOf } from "../image/levels.js";
import { corrupt } from "./corrupt.js";
import type { CorruptionName } from "./registry.js";
import { SEVERITIES, type Severity } from "./types.js";

export interface CorruptDomainOptions {
  /** One for all images, or each of the five in turn. Default: in turn. */
  readonly severity?: Severity | undefined;
  /** Default: that of the corruption. */
  readonly name?: string | undefined;
  readonly seed?: number | undefined;
}

/**
 * The same pictures and labels, corrupted when they are read, each time to the same bytes. Boxes and masks stay where they were,
 * as in the published benchmarks of corrupted detection, although `elastic_transform`, `zoom_blur` and `glass_blur` move pixels.
 */
export function corruptDomain(
  domain: Domain,
  corruption: CorruptionName,
  { severity, name = corruption, seed = 0 }: CorruptDomainOptions = {},
): Domain {
  return {
    ...domain,
    name,
    pathOf: (index) => `${domain.pathOf(index)} (${corruption})`,
    read: async (index) => {
      const reading = await domain.read(index);
      if ("unreadable" in reading) return reading;
      const random = new Random(seed).fork(`${corruption} ${index}`);
      const strength = severity ?? SEVERITIES[index % SEVERITIES.length]!;
      return { image: await corrupt(levelsOf(reading.image), corruption, strength, { random }) };
    },
  };
}
