import { LimberError } from "../../base/index.js";
import { isTrainable, type Level, type ScoreEstimate } from "../app.js";
import type { Signals } from "../trace.js";
import { meanAboveZero } from "./normal.js";
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
  /**
   * Whether gains are those of training that ends where it does not help: E[max(G, 0)] for a gain G around what is expected, as far off as on drifts
   * left out. So nothing is given up on the word of an estimate alone, the less the less it is to be trusted. Default false: E[G].
   * Source: expected improvement, Jones, Schonlau & Welch, Journal of Global Optimization 13 (1998).
   */
  readonly isHopeful?: boolean | undefined;
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
  /**
   * What making a model anew is hoped to bring over one made for other surroundings, of which no trace tells: E[max(X, 0)] of what levels are
   * estimated wrong by. Throws: `config.invalid` for a kind that it does not know.
   */
  renewal(kind: string): number;
  /** The error after one more observation: e ← 0.7·e + 0.3·(observed - predicted), for a prediction without e. */
  correct(error: number, observed: number, predicted: number): number;
}

const riseOf = ({ kappa, exponent }: Curve, steps: number): number => 1 - (1 + steps / kappa) ** -exponent;

/** f(q) / f(horizon), 0 at no step. */
export const shareOfGain = (curve: Curve, steps: number): number => riseOf(curve, steps) / riseOf(curve, curve.horizon);

/** The same, remembered for whole steps: planners ask for the same ones of thousands of apps. */
function rememberShares(curve: Curve): (steps: number) => number {
  const known: number[] = [];
  const whole = riseOf(curve, curve.horizon);
  const shareAt = (steps: number): number => riseOf(curve, steps) / whole;
  return (steps) =>
    steps < SHARES_KEPT && Number.isInteger(steps) ? (known[steps] ??= shareAt(steps)) : shareAt(steps);
}
const SHARES_KEPT = 1000;

/**
 * What is worse than at the source, each the larger the worse, for `EstimatorRecord.level`: none at the source itself.
 * Differs: agreement with the neighbouring level is left out, since it takes a second model for every look.
 */
export const levelFeatures = (source: Signals, steps: number, s: Signals): number[] => [
  source.confidence - s.confidence,
  s.entropy - source.entropy,
  source.marginalEntropy - s.marginalEntropy,
  source.atc - s.atc,
  s.distance,
  Math.log1p(steps),
];

/** What is believed before anything is learnt: what confidence has lost, the score has (DoC). */
export const LEVEL_PRIOR: readonly number[] = [1, 0, 0, 0, 0, 0];

/** What says how scores change with the size, for `EstimatorRecord.transfer`: `lost` is the source's score less the present one. */
export const transferFeatures = (from: number, to: number, lost: number, s: Signals): number[] => [
  to - from,
  lost * (to - from),
  s.distance * (to - from),
  (from + to) * (to - from),
];

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
  const ladders = new WeakMap<object, Map<string, Ladder>>();
  const ladderOf = (kind: string, levels: readonly Level[] | undefined): Ladder => {
    const own = ladders.get(levels ?? record) ?? new Map<string, Ladder>();
    ladders.set(levels ?? record, own);
    const ladder = own.get(kind) ?? createLadder(kindOf(kind), levels);
    own.set(kind, ladder);
    return ladder;
  };
  const scoreAt = (kind: string, { sources, ceiling }: Ladder, { level, steps, signals }: Observation): number => {
    const source = sources[level]!;
    const lost = predictLinear(record.level, kind, levelFeatures(source.signals, steps, signals));
    return Math.min(ceiling, Math.max(0, source.score - lost));
  };

  return {
    record,
    score: (kind, seen, { levels } = {}) => scoreAt(kind, ladderOf(kind, levels), seen),
    estimate(kind, seen, { levels, error = 0, isHopeful = false } = {}) {
      const ladder = ladderOf(kind, levels);
      const { sizes, sources, ceiling, shareAt } = ladder;
      const serving = seen.at(-1);
      if (!serving)
        throw new LimberError("config.invalid", "estimator: an observation at least, got none; measure signals first");
      const gainAt = (level: number, start: number, signals: Signals): number => {
        if (!isTrainable(sizes[level]!)) return 0;
        const source = sources[level]!;
        const features = gainFeatures(sizes[level]!, source.score - start, source.signals, signals);
        return predictLinear(record.gain, kind, features);
      };
      // what each level seen scored as made: its first observation, without what its steps have brought by then
      const firsts = [...new Map(seen.toReversed().map((each) => [each.level, each])).values()].map((each) => {
        const { level, steps, signals } = each;
        const score = scoreAt(kind, ladder, each);
        let start = score;
        // the gain goes by the score as made, which it takes to get there
        for (let round = 0; steps > 0 && round < ROUNDS; round++)
          start = score - gainAt(level, start, signals) * shareAt(steps);
        return { size: sizes[level]!, lost: sources[level]!.score - start, signals };
      });
      const made: MadeLevel[] = [];
      const make = (level: number): MadeLevel => {
        const [size, source] = [sizes[level]!, sources[level]!.score];
        let [sum, weights, nearest] = [0, 0, firsts[0]!];
        for (const first of firsts) {
          const features = transferFeatures(first.size, size, first.lost, first.signals);
          const away = Math.abs(size - first.size);
          const weight = 1 / (NEAR + away) ** 2;
          sum += weight * (source - first.lost + predictLinear(record.transfer, kind, features));
          weights += weight;
          if (away < Math.abs(nearest.size - size)) nearest = first;
        }
        const start = sum / weights;
        const gain = gainAt(level, start, nearest.signals);
        const trained = level === serving.level ? serving.steps : 0;
        const had = shareAt(trained);
        const hope = !isHopeful ? 0 : level === serving.level ? 1 : 1 - shareAt(serving.steps);
        const hoped = isTrainable(size) ? meanAboveZero(gain, record.gain.deviations[kind]!) : 0;
        const toCome = gain + hope * (hoped - gain);
        return (made[level] = { present: start + gain * had + error, trained, had, toCome });
      };
      return (level, steps) => {
        const { present, trained, had, toCome } = made[level] ?? make(level);
        return Math.min(ceiling, Math.max(0, present + toCome * (shareAt(trained + steps) - had)));
      };
    },
    renewal(kind) {
      kindOf(kind);
      return meanAboveZero(0, record.level.deviations[kind]!);
    },
    correct: (error, observed, predicted) => (1 - CORRECTION) * error + CORRECTION * (observed - predicted),
  };
}

/** What is expected of a level: its score now or as made, steps that it has and their share of the gain, and the gain that goes on from there. */
interface MadeLevel {
  readonly present: number;
  readonly trained: number;
  readonly had: number;
  readonly toCome: number;
}

/** What is the same in all estimates of a kind at the same levels. */
interface Ladder {
  /** Of each level, as a share of the largest. */
  readonly sizes: readonly number[];
  readonly sources: readonly SourceLevel[];
  /** No estimate is above it. */
  readonly ceiling: number;
  readonly shareAt: (steps: number) => number;
}

function createLadder(kind: KindRecord, levels: readonly Level[] | undefined): Ladder {
  const sizes = levels ? levels.map(({ size }) => size / levels.at(-1)!.size) : kind.sizes;
  return {
    sizes,
    sources: sizes.map((size) => sourceLevelOf(kind, size)),
    ceiling: Math.max(...kind.sourceScores),
    shareAt: rememberShares(kind.curve),
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
