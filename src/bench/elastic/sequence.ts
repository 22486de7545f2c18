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
 * Lays out a sequence in rounds: in each, the same domains in a seeded order of its own. The images of a domain are parted into those
 * that arrive and those that are measured on, for the whole sequence; a domain that returns shows fresh ones where it has them.
 * Throws: `config.invalid` where a domain has too few images for a stay.
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
  const met = dataset.domains.slice(0, Math.ceil(domains / rounds));
  const random = new Random(seed).fork("sequence");
  const orders = Array.from({ length: Math.ceil(domains / met.length) }, (_, round) =>
    random.fork(round).shuffled(met.map(({ name }) => name)),
  );
  const visits = orders.flat().slice(0, domains);
  const parts = met.map((domain) => partOf(domain, images / size, random.fork(`part ${domain.name}`)));
  const show = (own: readonly Domain[], samples: number): Domain[] =>
    visitDomains(
      createStream(
        { ...dataset, domains: own },
        { visits: visits.map((domain) => ({ domain, samples })), batchSize: samples, seed },
      ),
    );
  const arriving = show(
    parts.map(([part]) => part),
    images,
  );
  const tests = show(
    parts.map(([, part]) => part),
    testImages,
  );
  return visits.map((domain, position) => {
    const round = Math.floor(position / met.length);
    return { domain, round, arriving: arriving[position]!, test: tests[position]! };
  });
}

/** A domain in two, the first with this share of its images. */
export function partOf(domain: Domain, share: number, random: Random): readonly [Domain, Domain] {
  const order = random.shuffled(Array.from({ length: domain.samples }, (_, i) => i));
  const first = Math.floor(share * domain.samples + 1e-9);
  return [selectSamples(domain, order.slice(0, first)), selectSamples(domain, order.slice(first))];
}
