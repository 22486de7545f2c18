import type { Level, ScoreEstimate } from "../app.js";
import type { Estimator, Observation } from "./estimator.js";

/** Follows one app through its surroundings: what was seen of it, and what estimates of it were wrong by. */
export class ScoreTracker {
  private readonly seen: Observation[] = [];
  private error = 0;
  /** `hope` by what was seen so far, once it was asked for: planners ask more often than anything is seen. */
  private latest: ScoreEstimate | undefined;

  constructor(
    private readonly estimator: Estimator,
    private readonly kind: string,
    /** Of the app, where they are others than those of the traces. */
    private readonly levels?: readonly Level[],
  ) {}

  /** Whether `estimate` has anything to go by. */
  get hasSeen(): boolean {
    return this.seen.length > 0;
  }

  /** Takes what the level that serves tells, after a micro-window or once it is made; gives the score that it is thought to have now. */
  observe(seen: Observation): number {
    const { estimator, kind, levels } = this;
    const observed = estimator.score(kind, seen, { levels });
    const isKnown = this.seen.some(({ level }) => level === seen.level);
    this.seen.push(seen);
    if (isKnown) {
      // follows from the first observation of this level, and so from none that is corrected for
      const predicted = estimator.estimate(kind, this.seen, { levels })(seen.level, 0);
      this.error = estimator.correct(this.error, observed, predicted);
    }
    this.latest = undefined;
    return this.estimate(seen.level, 0);
  }

  /** The surroundings changed: what was seen before says nothing any more. */
  forget(): void {
    this.seen.length = 0;
    this.error = 0;
    this.latest = undefined;
  }

  /** What is expected. Throws: `config.invalid` before anything was seen. */
  get estimate(): ScoreEstimate {
    const { estimator, kind, seen, levels, error } = this;
    return estimator.estimate(kind, seen, { levels, error });
  }

  /** What planners go by: training that does not help may be ended (`isHopeful`). Throws: as `estimate`. */
  get hope(): ScoreEstimate {
    const { estimator, kind, seen, levels, error } = this;
    return (this.latest ??= estimator.estimate(kind, seen, { levels, error, isHopeful: true }));
  }
}
