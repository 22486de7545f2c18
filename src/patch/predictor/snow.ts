import { Random } from "../../base/index.js";
import { type Domain, levelsOf, snowImage } from "../../vision/index.js";

/** The drifts of PatchLine's predictor data: how many squares of snow lie on a picture of 350 pixels. */
export const SNOW_LEVELS = [1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10000] as const;

/** How many patches each takes, as published for VGG-16. */
export const publishedCount = (level: number): number => (level <= 4000 ? 1 : level <= 7000 ? 2 : 3);

export interface SnowDomainOptions {
  /** Default `SNOW_LEVELS`. */
  readonly levels?: readonly number[] | undefined;
  /** How many patches a level takes, from 1; default: as published. Measured ones come from `labelByMinimalCount`. */
  readonly countOf?: ((level: number) => number) | undefined;
  readonly seed?: number | undefined;
}

/** Every picture at every level of snow, labelled with the number of patches, less one. Level i of picture p is sample p · levels + i. */
export function snowDomain(domain: Domain, options: SnowDomainOptions = {}): Domain {
  const { levels = SNOW_LEVELS, countOf = publishedCount, seed = 0 } = options;
  const random = new Random(seed);
  const pictureOf = (index: number): number => Math.floor(index / levels.length);
  const levelOf = (index: number): number => levels[index % levels.length]!;
  return {
    name: `${domain.name} under snow`,
    samples: domain.samples * levels.length,
    label: (index) => countOf(levelOf(index)) - 1,
    pathOf: (index) => `${domain.pathOf(pictureOf(index))} (snow ${levelOf(index)})`,
    tags: (index) => [`level=${levelOf(index)}`],
    read: async (index) => {
      const reading = await domain.read(pictureOf(index));
      if ("unreadable" in reading) return reading;
      return { image: snowImage(levelsOf(reading.image), levelOf(index), random.fork(index)) };
    },
  };
}
