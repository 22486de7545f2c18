import { LimberError, Random } from "../../base/index.js";
import type { Truth, TruthBox } from "../data/truth.js";
import type { Dataset, Domain } from "../data/types.js";
import { DIGIT_CLASSES, digitsByClass, loadDigits, SPLITS } from "./digits.js";
import type { Split } from "./digits.js";
import { SOURCE_SCENE, WORLD_DOMAINS } from "./domains.js";
import type { SceneOptions, WorldDomain } from "./domains.js";
import { castScene, drawScene, tagsOf } from "./scene.js";
import type { Cast, Scene } from "./scene.js";

export const WORLD_SIZES = [32, 48, 64, 96] as const;
export type WorldSize = (typeof WORLD_SIZES)[number];

export interface WorldOptions {
  /** A whole number; another seed gives another world of the same kind. Default 0. */
  readonly seed?: number;
  /** Side of every picture in pixels. Default 32. */
  readonly size?: WorldSize;
  /** Least and most digits per scene, 1 to 3; a digit that finds no room is left out. Default [1, 1]. */
  readonly digits?: readonly [least: number, most: number];
  /** Default: `WORLD_DOMAINS`. */
  readonly domains?: readonly WorldDomain[];
}

/** Handwritten digits on procedural grounds under changing weather: data for when the user has none, with perfect ground truth. */
export interface World {
  readonly classes: readonly string[];
  /** Names of the domains, the source first. */
  readonly domains: readonly string[];
  /** Scene `index` of a split of a domain: the same for ever, in any order of asking. Digits never cross splits. */
  scene(domain: string, split: Split, index: number): Scene;
  /**
   * The first `count` scenes of a split of each domain, drawn when they are read. Their truth has a box for each object, its label
   * a class, and the mask, where a class is one more: 0 is the ground.
   */
  dataset(split: Split, count: number, domains?: readonly string[]): Dataset;
}

/** Opens the embedded world. Throws: `config.invalid`; `io.not-found` when the digits were not packed. */
export function createWorld(options: WorldOptions = {}): World {
  const { seed = 0, size = 32, digits = [1, 1], domains = WORLD_DOMAINS } = options;
  checkOptions(seed, size, digits);
  const handwriting = loadDigits();
  const bySplit = new Map(SPLITS.map((split) => [split, digitsByClass(handwriting, split)]));
  const byName = new Map(domains.map((domain) => [domain.name, domain]));
  const names = [...byName.keys()];
  const classes = Array.from({ length: DIGIT_CLASSES }, (_, label) => String(label));

  const open = (name: string, split: Split): OpenDomain => {
    const domain = byName.get(name);
    if (!domain) throw invalid(`world domain: one of ${names.join(", ")}, got "${name}"`, { domain: name });
    const byClass = bySplit.get(split);
    if (!byClass) throw invalid(`world split: one of ${SPLITS.join(", ")}, got "${split}"`, { split });
    const scene: SceneOptions = { ...SOURCE_SCENE, ...domain.scene };
    const source = new Random(seed).fork(`${name}/${split}`);
    const castOf = (random: Random): Cast => castScene(scene, byClass, digits, random.fork("cast"));
    return {
      cast: (index) => castOf(source.fork(index)),
      draw: (index) => {
        const random = source.fork(index);
        return drawScene(castOf(random), domain, scene, handwriting, size, random);
      },
    };
  };

  return {
    classes,
    domains: names,
    scene: (domain, split, index) => open(domain, split).draw(index),
    dataset(split, count, wanted = names) {
      if (!Number.isInteger(count) || count < 1)
        throw invalid(`world samples: a whole number above 0, got ${count}`, { count });
      return {
        name: "world",
        classes,
        maskClasses: ["background", ...classes],
        domains: wanted.map((name) => asDomain(name, split, count, open(name, split))),
      };
    },
  };
}

interface OpenDomain {
  cast(index: number): Cast;
  draw(index: number): Scene;
}

function asDomain(name: string, split: Split, samples: number, open: OpenDomain): Domain {
  return {
    name,
    samples,
    label: (index) => open.cast(index).digits[0]!.label,
    read: (index) => Promise.resolve({ image: open.draw(index).image }),
    pathOf: (index) => `world:${name}/${split}[${index}]`,
    tags: (index) => tagsOf(open.cast(index)),
    truth: (index) => Promise.resolve(truthOf(open.draw(index))),
  };
}

function truthOf({ image: { width, height }, objects, mask }: Scene): Truth {
  const boxes = objects.map(({ label, box: [x, y, w, h] }): TruthBox => ({ label, corners: [x, y, x + w, y + h] }));
  return { boxes, mask: { width, height, data: mask } };
}

function checkOptions(seed: number, size: number, [least, most]: readonly [number, number]): void {
  if (!Number.isInteger(seed)) throw invalid(`world seed: a whole number, got ${seed}`, { seed });
  if (!WORLD_SIZES.some((known) => known === size))
    throw invalid(`world size: one of ${WORLD_SIZES.join(", ")}, got ${size}`, { size });
  if (!(Number.isInteger(least) && Number.isInteger(most) && 1 <= least && least <= most && most <= 3)) {
    throw invalid(`world digits: [least, most] within 1 to 3, got [${least},${most}]`, { least, most });
  }
}

const invalid = (message: string, context: Record<string, unknown>): LimberError =>
  new LimberError("config.invalid", message, context);
