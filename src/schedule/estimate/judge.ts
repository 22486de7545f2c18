import type { Trace, TraceDrift } from "../trace.js";
import { type Estimator } from "./estimator.js";
import { ScoreTracker } from "./tracker.js";

/** How far estimates are from true scores. */
export interface Judgement {
  /** Mean |estimate - score|. */
  readonly mae: number;
  /** Rank correlation, in [-1, 1]; 0 where all are equal. */
  readonly spearman: number;
  readonly count: number;
}

/** Ways to estimate a score, judged side by side. */
export const ESTIMATES = [
  "now", // what is seen at a level says of its score at that time
  "made", // what is seen of the level as made says of its score there
  "trained", // what is seen of the level as made says of its scores after training
  "corrected", // the same, with each earlier observation of the training
  "elsewhere", // what is seen of one level as made says of the others as made
  "ac", // mean confidence
  "doc", // the same against the source's
  "atc", // average thresholded confidence
  "gde", // agreement of neighbouring levels
] as const;
export type EstimateName = (typeof ESTIMATES)[number];

export interface EstimatorJudgement {
  /** Over all kinds together. */
  readonly pooled: Readonly<Partial<Record<EstimateName, Judgement>>>;
  readonly kinds: Readonly<Record<string, Readonly<Partial<Record<EstimateName, Judgement>>>>>;
}

interface Pair {
  readonly name: EstimateName;
  readonly estimate: number;
  readonly score: number;
}

/**
 * Compares estimates with true scores on the drifts that are not for validation, which no estimator was fitted on. Those by one formula (`ac`,
 * `doc`, `atc`, `gde`) are judged at the same times as `now`.
 */
export function judgeEstimator(estimator: Estimator, traces: readonly Trace[]): EstimatorJudgement {
  const kinds = traces.map((trace) => {
    const drifts = trace.drifts.filter(({ isValidation }) => !isValidation);
    return [trace.kind, drifts.flatMap((drift) => pairsOf(estimator, trace, drift))] as const;
  });
  return {
    pooled: judge(kinds.flatMap(([, pairs]) => pairs)),
    kinds: Object.fromEntries(kinds.map(([kind, pairs]) => [kind, judge(pairs)])),
  };
}

function pairsOf(estimator: Estimator, trace: Trace, { curves }: TraceDrift): Pair[] {
  const { kind, sourceScores, sourceSignals } = trace;
  const pairs: Pair[] = [];
  const add = (name: EstimateName, estimate: number, score: number): number => pairs.push({ name, estimate, score });
  for (const { level, steps, scores, signals } of curves) {
    const seenAt = (i: number) => ({ level, steps: steps[i]!, signals: signals[i]! });
    const source = sourceSignals[level]!;
    const asMade = estimator.estimate(kind, [{ ...seenAt(0), steps: 0 }]);
    const tracker = new ScoreTracker(estimator, kind);
    steps.forEach((q, i) => {
      const [score, { confidence, atc, agreement }] = [scores[i]!, signals[i]!];
      add("now", estimator.score(kind, seenAt(i)), score);
      add("ac", confidence, score);
      add("doc", sourceScores[level]! + confidence - source.confidence, score);
      add("atc", atc, score);
      add("gde", agreement, score);
      add(q === 0 ? "made" : "trained", asMade(level, q), score);
      if (q > 0) add("corrected", tracker.estimate(level, q - steps[i - 1]!), score);
      tracker.observe(seenAt(i));
    });
    for (const other of curves) if (other.level !== level) add("elsewhere", asMade(other.level, 0), other.scores[0]!);
  }
  return pairs;
}

function judge(pairs: readonly Pair[]): Partial<Record<EstimateName, Judgement>> {
  return Object.fromEntries(
    ESTIMATES.flatMap((name) => {
      const own = pairs.filter((pair) => pair.name === name);
      if (own.length === 0) return [];
      const mae = own.reduce((sum, { estimate, score }) => sum + Math.abs(estimate - score), 0) / own.length;
      const [a, b] = [own.map(({ estimate }) => estimate), own.map(({ score }) => score)];
      return [[name, { mae, spearman: spearman(a, b), count: own.length }] as const];
    }),
  );
}

/** Correlation of ranks, equal values having the mean of theirs. In [-1, 1]; 0 where one side does not vary. */
export function spearman(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const middle = (a.length - 1) / 2;
  const sum = (of: (i: number) => number): number => x.reduce((total, _, i) => total + of(i), 0);
  const variances = sum((i) => (x[i]! - middle) ** 2) * sum((i) => (y[i]! - middle) ** 2);
  return variances === 0 ? 0 : sum((i) => (x[i]! - middle) * (y[i]! - middle)) / Math.sqrt(variances);
}

function ranksOf(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const ranks = values.map(() => 0);
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let at = start; at < end; at++) ranks[order[at]!] = (start + end - 1) / 2;
  }
  return ranks;
}
