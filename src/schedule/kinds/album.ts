import { Random } from "../../base/index.js";
import { type Dataset, type Domain, domainOf, selectSamples, parseDrift, shiftDomain } from "../../vision/index.js";
import type { PictureChoice } from "./app-kind.js";

/** Share of the source's pictures that no camera shows. */
const SOURCE_SHARE = 1 / 3;

/** The pictures of a data set, parted for one kind of app: those that tell of the source, and of each drift those that are met there. */
export class Album {
  readonly source: Domain;
  /** Of the source, and met nowhere. */
  readonly own: Domain;
  private readonly rest: Domain;

  /** Throws: `config.invalid` for a domain that is not there. */
  constructor(
    private readonly dataset: Dataset,
    source: string | undefined,
  ) {
    this.source = source === undefined ? dataset.domains[0]! : domainOf(dataset, source);
    const order = orderOf(this.source, 0);
    const kept = Math.floor(SOURCE_SHARE * order.length);
    this.own = selectSamples(this.source, order.slice(0, kept));
    this.rest = selectSamples(this.source, order.slice(kept));
  }

  /** Everything that may be met in a drift, in an order for each seed. Throws: `config.invalid`. */
  meet(drift: string, seed: number): Domain {
    const { domain: name = this.source.name, shift } = parseDrift(drift);
    const domain = name === this.source.name ? this.rest : domainOf(this.dataset, name);
    return { ...shiftDomain(selectSamples(domain, orderOf(domain, seed)), shift), name: drift };
  }

  /** One half of that for frames, the other for lessons. */
  pictures(drift: string, { use, seed, count }: PictureChoice): Domain {
    const met = this.meet(drift, seed);
    const half = Math.floor(met.samples / 2);
    const [from, to] = use === "frames" ? [half, met.samples] : [0, half];
    return { ...selectSamples(met, range(from, Math.min(to, from + count))), name: drift };
  }
}

/** The first of the samples. */
export const firstSamples = (domain: Domain, count: number): Domain =>
  selectSamples(domain, range(0, Math.min(count, domain.samples)));

const orderOf = ({ name, samples }: Domain, seed: number): number[] =>
  new Random(seed).fork(`album ${name}`).shuffled(range(0, samples));

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
