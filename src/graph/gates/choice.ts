import type { Model } from "../ir/index.js";
import type { ChannelMember, ChannelSelection, PruneRecord } from "../passes/index.js";
import { keepLargest } from "./take-largest.js";

/** What a surrogate keeps of each gate: its channels, and the factor of each. */
export interface Choice {
  readonly sparsity: number;
  readonly kept: ChannelSelection;
  /** One factor per kept channel; absent: 1. */
  readonly boosts?: Readonly<Record<string, Float32Array>> | undefined;
}

export type Scores = Readonly<Record<string, ArrayLike<number>>>;

export interface ChoiceOptions {
  /** What the channels are ranked by, where not by the scores. */
  readonly ranking?: Scores;
  /** Whether the scores become the factors of the channels that stay. */
  readonly boosted: boolean;
}

/** Keeps the channels that rank highest, by group. */
export function choose(scores: Scores, sparsity: number, { ranking = scores, boosted }: ChoiceOptions): Choice {
  const groups = Object.keys(scores);
  const kept = Object.fromEntries(groups.map((group) => [group, keepLargest(ranking[group]!, sparsity)]));
  if (!boosted) return { sparsity, kept };
  const factors = groups.map((group) => [group, Float32Array.from(kept[group]!, (unit) => scores[group]![unit]!)]);
  return { sparsity, kept, boosts: Object.fromEntries(factors) as Record<string, Float32Array> };
}

/** The filters of one gate in a surrogate: which places of which weights belong to each. */
export interface Filters {
  readonly group: string;
  readonly size: number;
  readonly members: readonly ChannelMember[];
}

/** A small dense model cut from a master. */
export interface Surrogate {
  /** Boosts stand in it as factors of their own (`foldBoosts` removes them), weights under the names of the master. */
  readonly model: Model;
  readonly choice: Choice;
  readonly record: PruneRecord;
  readonly filters: readonly Filters[];
}
