import { type Model, patchParameters } from "../graph/index.js";

/** Inputs of the widest layers on which rates of patches were chosen. */
const WIDE = 64;

/**
 * Factors on the rate of what starts at zero over more inputs: Adam's first steps move each weight by the rate, and a sum over n inputs by n times that.
 * Source: Yang et al. 2022, arXiv:2203.03466, table 3: Adam's rate of a layer goes with 1 / its inputs.
 */
export function wideRates(patched: Model): ReadonlyMap<string, number> {
  const { initializers } = patched.graph;
  return new Map(
    patchParameters(patched).flatMap((name) => {
      const { dims, data } = initializers.get(name)!;
      const inputs = dims.slice(1).reduce((product, size) => product * size, 1);
      return inputs > WIDE && data.every((value) => Number(value) === 0) ? [[name, WIDE / inputs] as const] : [];
    }),
  );
}
