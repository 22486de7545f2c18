import { LimberError } from "../../base/index.js";
import { isTrainable } from "../app.js";
import type { Trace, TraceCurve, TraceDrift } from "../trace.js";
import {
  createEstimator,
  type Curve,
  type Estimator,
  gainFeatures,
  type KindRecord,
  LEVEL_PRIOR,
  levelFeatures,
  shareOfGain,
  transferFeatures,
} from "./estimator.js";
import { type Example, fitLinear, predictLinear } from "./regression.js";

/** Candidates for the curve's κ and c. Units: steps; none. */
const KAPPAS = [0.5, 1, 2, 4, 8, 16, 32, 64, 128];
const EXPONENTS = [0.5, 1, 2];

/**
 * Learns from validation drifts what scores are behind signals, how they change with the level, and what training brings. All kinds are fitted
 * together, so that a kind with few drifts leans on the others. Deterministic.
 * Throws: `data.invalid` where a kind has no validation drift.
 * Source: ATC for the level, Garg et al. 2022, arXiv:2201.04234; a power law of the steps for the gain.
 */
export function fitEstimator(traces: readonly Trace[]): Estimator {
  const drifts = traces.flatMap((trace) =>
    trace.drifts.filter(({ isValidation }) => isValidation).map((drift) => ({ trace, drift })),
  );
  const without = traces.find((trace) => !drifts.some((each) => each.trace === trace));
  if (without || traces.length === 0) {
    const message = `estimator: validation drifts of each kind, got none of ${without?.kind ?? "any"}; record some with pictures of the source`;
    throw new LimberError("data.invalid", message);
  }
  const kinds = Object.fromEntries(traces.map((trace) => [trace.kind, recordOf(trace)]));
  const gather = (
    read: (trace: Trace, record: KindRecord, drift: TraceDrift) => readonly Omit<Example, "kind" | "drift">[],
  ): Example[] =>
    drifts.flatMap(({ trace, drift }) =>
      read(trace, kinds[trace.kind]!, drift).map((each) => ({ kind: trace.kind, drift: drift.name, ...each })),
    );

  const level = fitLinear(
    gather((_, { sourceScores, sourceSignals }, { curves }) =>
      curves.flatMap((curve) =>
        curve.steps.map((steps, i) => ({
          features: levelFeatures(sourceSignals[curve.level]!, steps, curve.signals[i]!),
          target: sourceScores[curve.level]! - curve.scores[i]!,
        })),
      ),
    ),
    { isThroughZero: true, isRising: true, prior: LEVEL_PRIOR },
  );
  // what the others start from is what the first says, not the truth, since they will have no other
  const lostOf = ({ kind, sourceSignals }: Trace, { level: place, signals }: TraceCurve): number =>
    predictLinear(level, kind, levelFeatures(sourceSignals[place]!, 0, signals[0]!));
  const transfer = gather((trace, { sizes, sourceScores }, { curves }) =>
    curves.flatMap((from) =>
      curves
        .filter((to) => to !== from)
        .map((to) => {
          const lost = lostOf(trace, from);
          const features = transferFeatures(sizes[from.level]!, sizes[to.level]!, lost, from.signals[0]!);
          return { features, target: to.scores[0]! - (sourceScores[to.level]! - lost) };
        }),
    ),
  );
  const gain = gather((trace, { curve: shape, sizes, sourceScores, sourceSignals }, { curves }) =>
    curves.flatMap((curve) => {
      if (!isTrainable(sizes[curve.level]!)) return [];
      const lost = lostOf(trace, curve);
      const target = gainOf(shape, curve, sourceScores[curve.level]! - lost);
      const source = sourceSignals[curve.level]!;
      const features = gainFeatures(sizes[curve.level]!, lost, source, curve.signals[0]!);
      return target === undefined ? [] : [{ features, target }];
    }),
  );
  return createEstimator({
    version: 1,
    kinds,
    level,
    transfer: fitLinear(transfer, { isThroughZero: true }),
    gain: fitLinear(gain),
  });
}

function recordOf({ levels, sourceScores, sourceSignals, drifts }: Trace): KindRecord {
  const largest = Math.max(...levels.map(({ size }) => size));
  const curves = drifts.filter(({ isValidation }) => isValidation).flatMap((drift) => drift.curves);
  return { sourceScores, sourceSignals, sizes: levels.map(({ size }) => size / largest), curve: fitCurve(curves) };
}

/** The curve that leaves the least of the scores unexplained when each drift and level has the gain that fits it best. */
function fitCurve(curves: readonly TraceCurve[]): Curve {
  const horizon = Math.max(1, ...curves.flatMap(({ steps }) => steps));
  const candidates = KAPPAS.flatMap((kappa) => EXPONENTS.map((exponent): Curve => ({ kappa, exponent, horizon })));
  const errorOf = (curve: Curve): number =>
    curves.reduce((sum, each) => {
      const gain = gainOf(curve, each, each.scores[0]!) ?? 0;
      return each.steps.reduce(
        (total, q, i) => total + (each.scores[i]! - each.scores[0]! - gain * shareOfGain(curve, q)) ** 2,
        sum,
      );
    }, 0);
  return candidates.map((curve) => ({ curve, error: errorOf(curve) })).reduce((a, b) => (b.error < a.error ? b : a))
    .curve;
}

/** The gain at the horizon over a score as made, by least squares; nothing where no step was trained. */
function gainOf(curve: Curve, { steps, scores }: TraceCurve, start: number): number | undefined {
  const shares = steps.map((q) => shareOfGain(curve, q));
  const square = shares.reduce((sum, share) => sum + share * share, 0);
  if (square === 0) return undefined;
  return shares.reduce((sum, share, i) => sum + share * (scores[i]! - start), 0) / square;
}
