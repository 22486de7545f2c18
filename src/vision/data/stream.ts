import { LimberError, Random } from "../../base/index.js";
import { selectSamples } from "./block.js";
import { domainOf } from "./read-dataset.js";
import { createSampler, drawDirichlet } from "./sampler.js";
import type { Dataset, Domain } from "./types.js";

/** One stay in a domain. */
export interface Visit {
  readonly domain: string;
  readonly samples?: number | undefined;
}

export interface StreamOptions {
  readonly visits: readonly Visit[];
  readonly batchSize: number;
  readonly seed: number;
  /** Size of visits that do not say theirs. Default: the visits of a domain share it, so that each sample is seen once. */
  readonly samplesPerVisit?: number | undefined;
  /** Samples in their stored order, or in a seeded one (default). */
  readonly order?: "file" | "shuffled" | undefined;
  /** Class frequencies other than the stored ones: weights per domain, or drawn for each domain; small `dirichlet` is a strong shift. */
  readonly labelShift?:
    { readonly weights: Readonly<Record<string, readonly number[]>> } | { readonly dirichlet: number } | undefined;
  /** How often a sample with these tags is drawn, relative to others; 0 leaves it out. */
  readonly subpopulation?: ((tags: readonly string[], domain: Domain) => number) | undefined;
}

/** What arrives at one time. */
export interface StreamStep {
  readonly step: number;
  /** Position of the visit in the stream. */
  readonly visit: number;
  readonly domain: Domain;
  readonly indices: Int32Array;
}

/** A sequence of domains that is the same each time it is iterated. */
export interface DomainStream extends Iterable<StreamStep> {
  readonly visits: readonly { readonly domain: Domain; readonly samples: number }[];
  readonly steps: number;
}

/**
 * Lays out an evolving, perhaps recurring, sequence of domains. A domain that comes back shows fresh samples first, and starts
 * over in a new seeded order when all were seen. The draws of one domain do not depend on which others are visited.
 * Throws: `config.invalid`.
 */
export function createStream(dataset: Dataset, options: StreamOptions): DomainStream {
  const { batchSize, seed, samplesPerVisit, order = "shuffled", labelShift, subpopulation } = options;
  checkPositive("batch size", batchSize);
  const visits = options.visits.map(({ domain: name, samples }) => {
    const domain = domainOf(dataset, name);
    const stays = options.visits.filter((visit) => visit.domain === name).length;
    return {
      domain,
      samples: checkPositive(`visit of ${name}`, samples ?? samplesPerVisit ?? Math.ceil(domain.samples / stays)),
    };
  });
  if (visits.length === 0)
    throw new LimberError("config.invalid", "stream: at least one visit expected, got none; name a domain");

  const samplerOf = (domain: Domain) => {
    const random = new Random(seed).fork(domain.name);
    return createSampler(domain, {
      order,
      random: random.fork("order"),
      classWeights: classWeightsOf(labelShift, domain.name, dataset.classes.length, random.fork("labels")),
      tagWeight: subpopulation && ((tags) => subpopulation(tags, domain)),
    });
  };
  const steps = visits.reduce((sum, { samples }) => sum + Math.ceil(samples / batchSize), 0);
  return {
    visits,
    steps,
    *[Symbol.iterator]() {
      const samplers = new Map(visits.map(({ domain }) => [domain, samplerOf(domain)]));
      let step = 0;
      for (const [visit, { domain, samples }] of visits.entries()) {
        for (let seen = 0; seen < samples; seen += batchSize) {
          yield { step: step++, visit, domain, indices: samplers.get(domain)!(Math.min(batchSize, samples - seen)) };
        }
      }
    },
  };
}

/** The visits of a stream as one domain each, with the samples that arrive in them. */
export function visitDomains(stream: DomainStream): Domain[] {
  const indices: number[][] = stream.visits.map(() => []);
  for (const step of stream) indices[step.visit]!.push(...step.indices);
  return stream.visits.map(({ domain }, visit) => selectSamples(domain, indices[visit]!));
}

function classWeightsOf(
  shift: StreamOptions["labelShift"],
  domain: string,
  classes: number,
  random: Random,
): readonly number[] | undefined {
  if (shift === undefined) return undefined;
  if ("weights" in shift) {
    const weights = shift.weights[domain];
    if (weights === undefined || weights.length === classes) return weights;
    throw new LimberError(
      "config.invalid",
      `label shift of ${domain}: ${classes} weights expected, got ${weights.length}; give one per class`,
      { domain },
    );
  }
  if (!(shift.dirichlet > 0 && shift.dirichlet < Infinity)) {
    throw new LimberError(
      "config.invalid",
      `label shift: a concentration above 0 expected, got ${shift.dirichlet}; 0.1 is strong, 10 is weak`,
    );
  }
  return drawDirichlet(random, shift.dirichlet, classes);
}

function checkPositive(subject: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new LimberError("config.invalid", `${subject}: a whole number above 0 expected, got ${value}; correct it`);
}

/**
 * Reads `photo,art*2,photo:100`: domains in order, `*2` for two visits in a row, `:100` for the number of samples of each.
 * Throws: `config.invalid`.
 */
export function parseStream(text: string): Visit[] {
  return text.split(",").flatMap((part) => {
    const [, domain, samples, times = "1"] = /^([^:*]+)(?::(\d{1,9}))?(?:\*(\d{1,4}))?$/.exec(part.trim()) ?? [];
    if (domain === undefined || Number(samples ?? 1) === 0 || Number(times) === 0) {
      throw new LimberError(
        "config.invalid",
        `stream: domain, domain*times or domain:samples expected, got "${part}"; write it like photo,art*2,photo:100`,
        { part },
      );
    }
    const visit: Visit = samples === undefined ? { domain } : { domain, samples: Number(samples) };
    return Array.from({ length: Number(times) }, () => visit);
  });
}
