import { LimberError } from "../../base/index.js";
import { selectSamples } from "./block.js";
import type { Dataset, Domain } from "./types.js";

/**
 * The same samples in a domain for each value of a tag, `day` and `dusk` for `light`, in the order in which values appear; samples
 * without it make a domain `no light`. Of several domains each is split, as `train/day`. Throws: `config.invalid` for a tag that none has.
 */
export function splitByTag(dataset: Dataset, tag: string): Dataset {
  const splits = dataset.domains.map((domain) =>
    [...valuesOf(domain, tag)].map(([value, samples]) => ({ domain, value, samples })),
  );
  if (splits.flat().some(({ value }) => value !== undefined)) {
    const domains = splits.flat().map(({ domain, value = `no ${tag}`, samples }) => ({
      ...selectSamples(domain, samples),
      name: splits.length > 1 ? `${domain.name}/${value}` : value,
    }));
    return { ...dataset, domains };
  }
  const known = new Set(
    dataset.domains.flatMap((domain) => domain.tags?.(0) ?? []).map((each) => each.split("=", 1)[0]!),
  );
  const names = known.size > 0 ? `one of ${[...known].join(", ")}` : "data with tags";
  throw new LimberError("config.invalid", `${dataset.name}: ${names} expected to split by, got "${tag}"; correct it`, {
    tag,
  });
}

function valuesOf(domain: Domain, tag: string): Map<string | undefined, number[]> {
  const values = new Map<string | undefined, number[]>();
  for (let index = 0; index < domain.samples; index++) {
    const found = domain.tags?.(index).find((each) => each.startsWith(`${tag}=`));
    const value = found?.slice(tag.length + 1);
    values
      .set(value, values.get(value) ?? [])
      .get(value)!
      .push(index);
  }
  return values;
}
