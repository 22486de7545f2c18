import { LimberError } from "../../base/index.js";
import type { Level } from "../app.js";
import type { Signals, Trace, TraceCurve, TraceDrift } from "../trace.js";

const SIGNALS = ["confidence", "entropy", "marginalEntropy", "atc", "distance", "agreement"] as const;

/** A place between two neighbours of a sorted list: values there are (1 - share) · below + share · above. */
interface Between {
  readonly below: number;
  readonly above: number;
  readonly share: number;
}

/**
 * A trace to be replayed: what was measured is given linearly in between, along the steps and along the sizes of the levels, and as at the
 * nearest end beyond. Throws: `data.invalid` for a trace that has no curves to replay.
 */
export class Recording {
  /** Drifts that the estimator was not fitted on, by name. */
  readonly drifts: ReadonlyMap<string, TraceDrift>;
  /** For each drift, the place of each level of the ladder among its curves. */
  private readonly places = new Map<TraceDrift, readonly Between[]>();

  constructor(
    readonly trace: Trace,
    /** Levels that apps of this kind run at. Default: those that were measured. */
    readonly levels: readonly Level[] = trace.levels,
  ) {
    const drifts = trace.drifts
      .filter(({ isValidation }) => !isValidation)
      .map((drift) => ({ ...drift, curves: drift.curves.toSorted((a, b) => a.level - b.level) }));
    for (const drift of drifts) {
      const { name, curves } = drift;
      if (curves.length === 0 || curves.some(({ steps, scores }) => steps[0] !== 0 || scores.length !== steps.length)) {
        const message = `trace "${trace.kind}": curves from step 0 on, got none or others in drift "${name}"; record it again`;
        throw new LimberError("data.invalid", message, { kind: trace.kind, drift: name });
      }
      const sizes = curves.map(({ level }) => trace.levels[level]!.size);
      this.places.set(
        drift,
        levels.map(({ size }) => between(sizes, size)),
      );
    }
    this.drifts = new Map(drifts.map((drift) => [drift.name, drift]));
  }

  /** Steps beyond which nothing was measured, the same at all levels of a drift. */
  maxSteps({ curves }: TraceDrift): number {
    return Math.min(...curves.map(({ steps }) => steps.at(-1)!));
  }

  /** The true score. */
  score(drift: TraceDrift, level: number, steps: number): number {
    return this.mix(drift, level, steps, ({ scores }, i) => scores[i]!);
  }

  /** What the model told without labels. */
  signals(drift: TraceDrift, level: number, steps: number): Signals {
    const values = SIGNALS.map((name) => [name, this.mix(drift, level, steps, ({ signals }, i) => signals[i]![name])]);
    return Object.fromEntries(values) as Record<(typeof SIGNALS)[number], number>;
  }

  private mix(
    drift: TraceDrift,
    level: number,
    steps: number,
    valueOf: (curve: TraceCurve, point: number) => number,
  ): number {
    const place = this.places.get(drift)![level]!;
    const onCurve = (index: number): number => {
      const curve = drift.curves[index]!;
      const { below, above, share } = between(curve.steps, steps);
      return mixed(valueOf(curve, below), valueOf(curve, above), share);
    };
    const low = onCurve(place.below);
    return place.share === 0 ? low : mixed(low, onCurve(place.above), place.share);
  }
}

const mixed = (low: number, high: number, share: number): number => low + share * (high - low);

/** Where a value lies in an ascending list; at its ends where it lies outside. */
function between(sorted: readonly number[], value: number): Between {
  const last = sorted.length - 1;
  if (!(value > sorted[0]!)) return { below: 0, above: 0, share: 0 };
  if (value >= sorted[last]!) return { below: last, above: last, share: 0 };
  const above = sorted.findIndex((each) => each >= value);
  const below = above - 1;
  return { below, above, share: (value - sorted[below]!) / (sorted[above]! - sorted[below]!) };
}
