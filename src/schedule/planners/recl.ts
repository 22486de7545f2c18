import type { AppState } from "../app.js";
import type { Planner } from "../plan.js";
import { planByWeights } from "./fixed-level.js";

/** Windows before gains can be told: until then an app counts as one that gains a lot. */
const OPTIMISTIC_WINDOWS = 3;
const OPTIMISTIC_WEIGHT = 10;
const LEAST_WEIGHT = 0.01;

/**
 * Shares by recent gain: what training brought an app in the last window is taken for what it will bring.
 * Source: RECL, Khani et al., NSDI 2023, as in the schedulers of ElasticDNN's authors: weight max(0.01, a_t - mean(a_t-2, a_t-1)).
 * Differs: no zoo of models; the level is the same for all and fixed.
 */
export const recl: Planner = {
  name: "recl",
  summary: "one level for all apps, training by what it brought lately",
  plan: (request) => planByWeights("recl", request, weightOf),
};

function weightOf({ history }: AppState): number {
  if (history.length <= OPTIMISTIC_WINDOWS) return OPTIMISTIC_WEIGHT;
  const [before, last, now] = history.slice(-3) as [number, number, number];
  const gain = now - (before + last) / 2;
  return Number.isNaN(gain) ? LEAST_WEIGHT : Math.max(LEAST_WEIGHT, gain);
}
