import { LimberError, Random } from "../../base/index.js";
import { createStream, type Dataset, type Domain, selectSamples, visitDomains } from "../../vision/index.js";

/** One stay in a drifted domain. */
export interface Stay {
  readonly domain: string;
  /** How often the domain came before. */
  readonly round: number;
  /** Arrives, and is adapted to. */
  readonly arriving: Domain;
  /** Measured on, never adapted to. */
  readonly test: Domain;
}

export interface SequenceOptions {
  /** Stays in all. */
  readonly domains: number;
  /** How often each domain is met, where there are enough of them for so many stays. */
  readonly rounds: number;
  /** Images that arrive in a stay, and those that it is measured on. */
  readonly images: number;
  readonly testImages: number;
  readonly seed: number;
}

/**
 * Lays out a sequence in rounds: in each, the same domains in a seeded order of its own. A domain that returns shows fresh
 * images where it has them. Throws: `config.invalid` where a domain has too few images for a stay.
 */
export function layOutSequence(
  dataset: Dataset,
  { domains, rounds, images, testImages, seed }: SequenceOptions,
): Stay[] {
  const size = images + testImages;
  const small = dataset.domains.find(({ samples }) => samples < size);
  if (small) {
    const message = `domain "${small.name}": ${size} images, ${images} to adapt to and ${testImages} to measure on, got ${small.samples}; use fewer`;
    throw new LimberError("config.invalid", message, { domain: small.name });
  }
  const names = dataset.domains.slice(0, Math.ceil(domains / rounds)).map(({ name }) => name);
  const random = new Random(seed).fork("sequence");
  const orders = Array.from({ length: Math.ceil(domains / names.length) }, (_, round) =>
    random.fork(round).shuffled(names),
  );
  const visits = orders.flat().slice(0, domains);
  const stream = createStream(dataset, {
    visits: visits.map((domain) => ({ domain, samples: size })),
    ...{ batchSize: size, seed },
  });
  return visitDomains(stream).map((domain, position): Stay => {
    const take = (from: number, count: number): Domain =>
      selectSamples(
        domain,
        Array.from({ length: count }, (_, i) => from + i),
      );
    const round = Math.floor(position / names.length);
    return { domain: domain.name, round, arriving: take(0, images), test: take(images, testImages) };
  });
}
