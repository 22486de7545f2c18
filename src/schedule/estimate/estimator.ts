import { LimberError } from "../../base/index.js";
import type { Level, ScoreEstimate } from "../app.js";
import type { Signals } from "../trace.js";
import { type LinearModel, predictLinear } from "./regression.js";

/** What was seen of an app, without labels, since its surroundings last changed. */
export interface Observation {
  /** Place in the levels. */
  readonly level: number;
  /** Steps trained at this level by then. */
  readonly steps: number;
  readonly signals: Signals;
}

/** What an estimator knows of a kind of app. Plain data. */
export interface KindRecord {
  /** On the source, by level: no estimate is above the best of them. */
  readonly sourceScores: readonly number[];
  /** What levels tell of the source itself. */
  readonly sourceSignals: readonly Signals[];
  /** Size of each level as a share of the largest. */
  readonly sizes: readonly number[];
  /** Share of the gain of `horizon` steps that q steps bring: f(q) / f(horizon) with f(q) = 1 - (1 + q/κ)^-c. */
  readonly curve: Curve;
}

export interface Curve {
  readonly kappa: number;
  readonly exponent: number;
  readonly horizon: number;
}

/** All that an estimator is. Plain data. */
export interface EstimatorRecord {
  readonly version: 1;
  readonly kinds: Readonly<Record<string, KindRecord>>;
  /** What is lost of the source's score, from signals of the same level. */
  readonly level: LinearModel;
  /** Score of another level as made, above what the source's scores make of this one's. */
  readonly transfer: LinearModel;
  /** Gain of `horizon` steps. */
  readonly gain: LinearModel;
}

export interface EstimateOptions {
  /** What is asked for, where it is not the levels of the traces; the two are matched by size. */
  readonly levels?: readonly Level[] | undefined;
  /** What earlier estimates were wrong by, see `correct`. Default 0. */
  readonly error?: number | undefined;
}

/** Scores of apps without labels, learnt from validation drifts by `fitEstimator`. A value: it keeps nothing of the apps. */
export interface Estimator {
  readonly record: EstimatorRecord;
  /** The score at the time of an observation. In [0, 1]. Throws: `config.invalid` for a kind that it does not know. */
  score(kind: string, seen: Observation, options?: EstimateOptions): number;
  /**
   * Scores of all levels, from what was seen since the surroundings changed, the latest last. That one's level serves: its further steps
   * continue those it has; other levels are made anew. Throws: `config.invalid` where nothing was seen, or for a kind that it does not know.
   */
  estimate(kind: string, seen: readonly Observation[], options?: EstimateOptions): ScoreEstimate;
  /** The error after one more observation: e ← 0.7·e + 0.3·(observed - predicted), for a prediction without e. */
  correct(error: number, observed: number, predicted: number): number;
}

/** f(q) / f(horizon), 0 at no step. */
export function shareOfGain({ kappa, exponent, horizon }: Curve, steps: number): number {
  const rise = (q: number): number => 1 - (1 + q / kappa) ** -exponent;
  return rise(steps) / rise(horizon);
}

/** The same, remembered: planners ask for the same steps of thousands of apps. */
function sharesOfGain(curve: Curve, steps: number): number {
  const known = SHARES.get(curve) ?? new Map<number, number>();
  SHARES.set(curve, known);
  const share = known.get(steps) ?? shareOfGain(curve, steps);
  if (known.size < SHARES_KEPT) known.set(steps, share);
  return share;
}
const SHARES = new WeakMap<Curve, Map<number, number>>();
const SHARES_KEPT = 1000;

/** What is worse than at the source, each the larger the worse, for `EstimatorRecord.level`: none at the source itself. */
export const levelFeatures = (source: Signals, steps: number, s: Signals): number[] => [
  source.confidence - s.confidence,
  s.entropy - source.entropy,
  source.marginalEntropy - s.marginalEntropy,
  source.atc - s.atc,
  s.distance,
  source.agreement - s.agreement,
  Math.log1p(steps),
];

/** What is believed before anything is learnt: what confidence has lost, the score has (DoC). */
export const LEVEL_PRIOR: readonly number[] = [1, 0, 0, 0, 0, 0, 0];

/** What says how scores change with the size, for `EstimatorRecord.transfer`: `lost` is the source's score less the present one. */
export const transferFeatures = (from: number, to: number, lost: number, s: Signals): number[] =>
  [1, lost, s.distance, from + to].map((value) => value * (to - from));

/** What says how much there is to gain, for `EstimatorRecord.gain`. */
export const gainFeatures = (size: number, lost: number, source: Signals, s: Signals): number[] => [
  size,
  lost,
  source.confidence - s.confidence,
  source.marginalEntropy - s.marginalEntropy,
  s.distance,
];

const CORRECTION = 0.3;

/** Sizes nearer than this say the same of a level between them. */
const NEAR = 0.05;

/** Until a score as made and its gain fit each other. */
const ROUNDS = 10;

export function createEstimator(record: EstimatorRecord): Estimator {
  const kindOf = (kind: string): KindRecord => {
    if (Object.hasOwn(record.kinds, kind)) return record.kinds[kind]!;
    const known = Object.keys(record.kinds).join(", ");
    throw new LimberError(
      "config.invalid",
      `estimator: a kind of ${known}, got ${kind}; record traces of it and fit anew`,
    );
  };
  const sizesOf = (kind: string, levels: readonly Level[] | undefined): readonly number[] =>
    levels ? levels.map(({ size }) => size / levels.at(-1)!.size) : kindOf(kind).sizes;
  const sourceAt = (kind: string, size: number): SourceLevel => sourceLevelOf(kindOf(kind), size);
  const ceilingOf = (kind: string): number => Math.max(...kindOf(kind).sourceScores);
  const clip = (kind: string, value: number): number => Math.min(ceilingOf(kind), Math.max(0, value));
  const scoreAt = (kind: string, size: number, { steps, signals }: Observation): number => {
    const source = sourceAt(kind, size);
    return clip(kind, source.score - predictLinear(record.level, kind, levelFeatures(source.signals, steps, signals)));
  };

  return {
    record,
    score: (kind, seen, { levels } = {}) => scoreAt(kind, sizesOf(kind, levels)[seen.level]!, seen),
    estimate(kind, seen, { levels, error = 0 } = {}) {
      const sizes = sizesOf(kind, levels);
      const { curve } = kindOf(kind);
      const serving = seen.at(-1);
      if (!serving)
        throw new LimberError("config.invalid", "estimator: an observation at least, got none; measure signals first");
      const gainAt = (size: number, start: number, signals: Signals): number => {
        const source = sourceAt(kind, size);
        return predictLinear(record.gain, kind, gainFeatures(size, source.score - start, source.signals, signals));
      };
      // what each level seen scored as made: its first observation, without what its steps have brought by then
      const firsts = [...new Map(seen.toReversed().map((each) => [each.level, each])).values()].map((each) => {
        const size = sizes[each.level]!;
        const score = scoreAt(kind, size, each);
        let start = score;
        // the gain goes by the score as made, which it takes to get there
        for (let round = 0; each.steps > 0 && round < ROUNDS; round++)
          start = score - gainAt(size, start, each.signals) * shareOfGain(curve, each.steps);
        return { size, start, signals: each.signals };
      });
      const startAt = (size: number): { start: number; signals: Signals } => {
        let [sum, weights] = [0, 0];
        for (const first of firsts) {
          const lost = sourceAt(kind, first.size).score - first.start;
          const moved = predictLinear(record.transfer, kind, transferFeatures(first.size, size, lost, first.signals));
          const weight = 1 / (NEAR + Math.abs(size - first.size)) ** 2;
          sum += weight * (sourceAt(kind, size).score - lost + moved);
          weights += weight;
        }
        const nearest = firsts.reduce((a, b) => (Math.abs(b.size - size) < Math.abs(a.size - size) ? b : a));
        return { start: sum / weights, signals: nearest.signals };
      };
      const made = new Map<number, { readonly start: number; readonly gain: number }>();
      const madeAt = (level: number): { readonly start: number; readonly gain: number } => {
        const size = sizes[level]!;
        const { start, signals } = startAt(size);
        const found = { start, gain: gainAt(size, start, signals) };
        made.set(level, found);
        return found;
      };
      const best = ceilingOf(kind);
      return (level, steps) => {
        const { start, gain } = made.get(level) ?? madeAt(level);
        const trained = level === serving.level ? serving.steps : 0;
        return Math.min(best, Math.max(0, start + gain * sharesOfGain(curve, trained + steps) + error));
      };
    },
    correct: (error, observed, predicted) => (1 - CORRECTION) * error + CORRECTION * (observed - predicted),
  };
}

interface SourceLevel {
  readonly score: number;
  readonly signals: Signals;
}

/** The source at a size, linear between the levels measured. */
function sourceLevelOf({ sizes, sourceScores, sourceSignals }: KindRecord, size: number): SourceLevel {
  const found = sizes.findIndex((each) => each >= size);
  const above = found < 0 ? sizes.length - 1 : found;
  const below = Math.max(0, above - 1);
  const span = sizes[above]! - sizes[below]!;
  const part = span === 0 ? 1 : Math.min(1, Math.max(0, (size - sizes[below]!) / span));
  const mix = (a: number, b: number): number => a + part * (b - a);
  const [low, high] = [sourceSignals[below]!, sourceSignals[above]!];
  return {
    score: mix(sourceScores[below]!, sourceScores[above]!),
    signals: {
      confidence: mix(low.confidence, high.confidence),
      entropy: mix(low.entropy, high.entropy),
      marginalEntropy: mix(low.marginalEntropy, high.marginalEntropy),
      atc: mix(low.atc, high.atc),
      distance: mix(low.distance, high.distance),
      agreement: mix(low.agreement, high.agreement),
    },
  };
}
