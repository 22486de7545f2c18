export interface EpochBudget {
  /** Epochs without a related start. Default 10. */
  readonly base?: number | undefined;
  /** Default 1. */
  readonly least?: number | undefined;
  /** Share of the epochs that a start from an equal model saves. Default 0.6. */
  readonly discount?: number | undefined;
}

/**
 * Epochs that a model may train: fewer, the more alike the model is whose patch it starts from.
 * E = max(least, ⌈base · (1 − discount · similarity)⌉); no similarity: it starts from nothing. Source: PatchLine.
 */
export function epochsFor(similarity: number | undefined, budget: EpochBudget = {}): number {
  const { base = 10, least = 1, discount = 0.6 } = budget;
  const alike = Math.min(1, Math.max(0, similarity ?? 0));
  return Math.max(least, Math.ceil(base * (1 - discount * alike) - 1e-9));
}

/** The score that is good enough: nearly what the model had before the drift. */
export const targetOf = (before: number, share = 0.95): number => share * before;

/** When a course of training ends before its epochs do: the same rule for every method. */
export interface StopRule {
  /** An epoch that gains less than this counts as a rest. Units: points of the score, 0.005 for half a percent. */
  readonly leastGain: number;
  /** Rests in a row that end the course. */
  readonly patience: number;
  /** A score that is good enough. */
  readonly target?: number | undefined;
}

export const STOP_RULE: StopRule = { leastGain: 0.005, patience: 3 };

/**
 * Whether training goes no further: `target` where the best score is good enough, `plateau` where as many evaluations in a row as the
 * rule's patience gained less over the best than its least gain. The first score is that before training.
 */
export function findStop(scores: readonly number[], rule: StopRule): "target" | "plateau" | undefined {
  let [best, rests] = [-Infinity, 0];
  for (const score of scores) {
    const gain = score - best;
    rests = gain >= rule.leastGain ? 0 : rests + 1;
    if (gain > 0) best = score;
  }
  if (rule.target !== undefined && best >= rule.target) return "target";
  return rests >= rule.patience ? "plateau" : undefined;
}
