import { bn, finetune, type Method, shotIm, tent } from "../adapt/index.js";
import { createStream, createWorld, type Domain, visitDomains, WORLD_DOMAINS } from "../vision/index.js";

/** The order in which the demo meets the domains; one that comes back shows pictures that were not seen before. */
export const DEMO_VISITS = [
  ...["day", "fog", "dusk", "night", "fog", "square-snow"],
  ...["low-contrast", "day", "sensor-noise", "blur", "new-background", "subpopulation", "night"],
] as const;

/** How a method takes part. All but ElasticDNN start from the source model in every domain; only patches are kept, and what its master learns. */
export interface Contender {
  readonly method: Method;
  readonly methodOptions: unknown;
}

/** Share of a master's channels that its small models go without. */
export const SPARSITY = 0.8;

/** Learning rates were chosen on handwriting of the validation split. */
export const CONTENDERS = {
  bn: { method: bn, methodOptions: {} },
  tent: { method: tent, methodOptions: { learningRate: 3e-3 } },
  elastic: { method: shotIm, methodOptions: { learningRate: 3e-3 } },
  patch: { method: finetune, methodOptions: { scope: "norm", statistics: "batch", learningRate: 2e-3, epochs: 12 } },
} as const satisfies Record<string, Contender>;

export interface PlanOptions {
  readonly seed: number;
  /** Names of domains of the embedded world, in order. */
  readonly visits?: readonly string[] | undefined;
  /** Pictures that arrive in each visit; every accuracy of the visit counts these. */
  readonly images?: number | undefined;
  /** Pictures with a label that a patch is made from, none of them among those that arrive. */
  readonly labelled?: number | undefined;
}

/** One stay in a domain. */
export interface PlannedVisit {
  readonly name: string;
  readonly summary: string;
  /** True when the domain was visited before. */
  readonly returning: boolean;
  readonly stream: Domain;
}

export interface DemoPlan {
  readonly visits: readonly PlannedVisit[];
  /** What each domain is patched with, in the order of the first visits. */
  readonly lessons: readonly Domain[];
  readonly images: number;
  readonly labelled: number;
}

/**
 * Lays out the visits: handwriting of the test split arrives, handwriting of the validation split is labelled.
 * Throws: `config.invalid` for a domain that the world does not have.
 */
export function planDemo({ seed, visits: names = DEMO_VISITS, images = 256, labelled = 64 }: PlanOptions): DemoPlan {
  const world = createWorld({ seed });
  const distinct = [...new Set(names)];
  const mostVisits = Math.max(...distinct.map((name) => names.filter((other) => other === name).length));
  const arriving = world.dataset("test", images * mostVisits, distinct);
  const visits = names.map((domain) => ({ domain, samples: images }));
  const streams = visitDomains(createStream(arriving, { visits, batchSize: images, seed, order: "file" }));
  return {
    visits: names.map((name, i) => ({
      name,
      summary: WORLD_DOMAINS.find((domain) => domain.name === name)!.summary,
      returning: names.indexOf(name) < i,
      stream: streams[i]!,
    })),
    lessons: world.dataset("validation", labelled, distinct).domains,
    images,
    labelled,
  };
}
