import { LimberError } from "../../base/index.js";
import type { AppState, Level, Trial, TrialRequest } from "../app.js";
import { type Estimator, type Observation, ScoreTracker } from "../estimate/index.js";
import type { Allocation, Plan } from "../plan.js";
import type { TraceDrift } from "../trace.js";
import type { Recording } from "./recording.js";
import type { AppRow, WindowApp } from "./report.js";
import type { ScenarioApp } from "./scenario.js";

export interface SimulatedAppOptions {
  readonly estimator: Estimator;
  readonly feedback: number;
  /** Steps that planners grant at a time. */
  readonly quantum: number;
}

/** Planned work without a share of its own is done where the device would idle. */
const LEAST_SPARE_MS = 1e-6;

/** Sums over an app's time on the device. */
interface Tally {
  presentMs: number;
  score: number;
  share: number;
  usedMs: number;
}

const emptyTally = (): Tally => ({ presentMs: 0, score: 0, share: 0, usedMs: 0 });

/** An app on the virtual device, with all that is true of it. A planner sees no more of it than `stateFor`. */
export class SimulatedApp {
  isPresent = false;
  /** Share of the device by the present plan. */
  private share = 0;
  /** What that share leaves beside predictions, for all that the plan is for. Units: milliseconds. */
  private spareMs = 0;
  private trials: readonly Trial[] = [];
  private drift: TraceDrift | undefined;
  private burst = 1;
  /** An app comes with its smallest model. */
  private serving = { level: 0, steps: 0 };
  /** The same model with the steps since the last swap, unless another level is being made. */
  private training = { level: 0, steps: 0, makeLeftMs: 0 };
  private plannedSteps = 0;
  /** Share of the predictions asked that the plan admits. */
  private admitted = 1;
  /** Most steps that it ever trained, by drift. */
  private readonly learnt = new Map<TraceDrift, number>();
  private readonly tracker: ScoreTracker;
  /** What was looked at last. */
  private seen: Observation | undefined;
  private readonly history: number[] = [];
  private window = emptyTally();
  private readonly whole = emptyTally();
  private readonly counts = { framesAsked: 0, framesServed: 0, framesLate: 0, steps: 0, remodels: 0 };

  constructor(
    readonly spec: ScenarioApp,
    private readonly recording: Recording,
    private readonly options: SimulatedAppOptions,
  ) {
    this.tracker = new ScoreTracker(options.estimator, spec.kind, recording.levels);
  }

  driftTo(name: string): void {
    const drift = this.recording.drifts.get(name);
    if (!drift) {
      const message = `scenario: a drift that is recorded for "${this.spec.kind}", got "${name}"; choose one of ${[...this.recording.drifts.keys()].join(", ")}`;
      throw new LimberError("config.invalid", message, { app: this.spec.name, drift: name });
    }
    this.keepLearnt();
    this.drift = drift;
    this.trials = [];
    this.tracker.forget();
    this.seen = undefined;
    this.serving.steps = this.training.steps = this.startSteps();
  }

  askedTimes(factor: number): void {
    this.burst = factor;
  }

  /** What was trained serves from now on. */
  swap(): void {
    if (this.training.makeLeftMs === 0) this.serving = { level: this.training.level, steps: this.training.steps };
  }

  /** What serves is looked at; the same model tells the same as before. */
  observe(): void {
    const { level, steps } = this.serving;
    if (this.seen?.level === level && this.seen.steps === steps) return;
    this.seen = this.observationOf(level, steps);
    this.tracker.observe(this.seen);
  }

  /** What a planner is told. Units: milliseconds that are left of the window. */
  stateFor(leftMs: number): AppState {
    const { spec, recording, serving, training } = this;
    const maxSteps = recording.maxSteps(this.presentDrift);
    const estimate = this.tracker.hope;
    const start = this.startSteps();
    const isMaking = training.makeLeftMs > 0;
    const levels = isMaking
      ? recording.levels.map((each, i) => (i === training.level ? { ...each, makeMs: training.makeLeftMs } : each))
      : recording.levels;
    return {
      name: spec.name,
      weight: spec.weight,
      deadlineMs: spec.deadlineMs,
      levels,
      frames: this.wholeFramesIn(leftMs),
      level: serving.level,
      quantum: this.options.quantum,
      maxSteps,
      estimate: (level, steps) => {
        const trained = level === serving.level ? serving.steps : start;
        const further = Math.max(0, Math.min(maxSteps - trained, steps));
        return estimate(level, level === serving.level ? further : start + further);
      },
      history: [...this.history],
      trials: this.trials,
    };
  }

  /** Units: milliseconds of the device that a trial takes. */
  trialMs({ level, steps }: TrialRequest): number {
    const { makeMs, stepMs } = this.levelOf(level);
    return steps * stepMs + (level === this.serving.level ? 0 : makeMs);
  }

  /** Keeps what a trial tells; the model that it made is thrown away. */
  try({ app, level, steps }: TrialRequest): void {
    const from = level === this.serving.level ? this.serving.steps : this.startSteps();
    const [before, after] = [from, from + steps].map((at) => this.scoreSeen(level, at));
    this.trials = [...this.trials, { app, level, steps, before: before!, after: after! }];
  }

  /** Does from now on as a plan for so many milliseconds says; without a place in it, nothing. */
  follow(allocation: Allocation | undefined, { windowMs }: Pick<Plan, "windowMs">, leftMs: number): void {
    const frames = this.wholeFramesIn(leftMs);
    this.plannedSteps = allocation?.steps ?? 0;
    this.admitted = !allocation ? 0 : frames === 0 ? 1 : 1 - allocation.shed / frames;
    const givenMs = (allocation?.share ?? 0) * windowMs;
    this.share = givenMs / leftMs;
    this.spareMs = Math.max(LEAST_SPARE_MS, givenMs - this.predictMsIn(leftMs));
    if (!allocation || allocation.level === this.training.level) return;
    this.keepLearnt();
    if (allocation.level === this.serving.level) {
      this.training = { ...this.serving, makeLeftMs: 0 };
      return;
    }
    const { makeMs } = this.levelOf(allocation.level);
    this.training = { level: allocation.level, steps: this.startSteps(), makeLeftMs: makeMs };
    this.counts.remodels++;
  }

  /** Time that predictions ask for. Units: milliseconds of the device, in so many milliseconds. */
  predictMsIn(intervalMs: number): number {
    return this.framesIn(intervalMs) * this.admitted * this.levelOf(this.serving.level).inferMs;
  }

  get makeLeftMs(): number {
    return this.training.makeLeftMs;
  }

  /** Time that planned steps still take, but for so many that come later. */
  trainLeftMs(laterSteps = 0): number {
    return Math.max(0, this.plannedSteps - laterSteps) * this.levelOf(this.training.level).stepMs;
  }

  /** How its planned work stands beside that of others. */
  get workWeight(): number {
    return this.spareMs;
  }

  /** Time goes by, in which the device answers this part of the predictions that are admitted. Gives what that takes. */
  predict(intervalMs: number, servedShare: number): number {
    const { serving, counts, share } = this;
    const asked = this.framesIn(intervalMs);
    const served = asked * this.admitted * servedShare;
    const { inferMs } = this.levelOf(serving.level);
    counts.framesAsked += asked;
    counts.framesServed += served;
    if (inferMs > (this.spec.deadlineMs ?? Infinity) * share) counts.framesLate += served;
    const score = this.recording.score(this.presentDrift, serving.level, serving.steps) * this.admitted * servedShare;
    for (const tally of [this.window, this.whole]) {
      tally.presentMs += intervalMs;
      tally.score += score * intervalMs;
      tally.share += share * intervalMs;
    }
    return this.use(served * inferMs);
  }

  make(ms: number): number {
    const { training } = this;
    // a remainder of rounding is no work
    training.makeLeftMs = ms >= training.makeLeftMs * (1 - 1e-12) ? 0 : training.makeLeftMs - ms;
    return this.use(ms);
  }

  train(ms: number): number {
    const steps = Math.min(this.plannedSteps, ms / this.levelOf(this.training.level).stepMs);
    this.training.steps += steps;
    this.plannedSteps -= steps;
    this.counts.steps += steps;
    return this.use(ms);
  }

  private use(ms: number): number {
    this.window.usedMs += ms;
    this.whole.usedMs += ms;
    return ms;
  }

  /** Of a window that ended; nothing where it was not there. */
  closeWindow(): WindowApp | undefined {
    const { presentMs, score, share, usedMs } = this.window;
    this.window = emptyTally();
    this.trials = [];
    if (presentMs === 0) return undefined;
    const { level, steps } = this.serving;
    if (this.isPresent) this.history.push(this.scoreSeen(level, steps));
    return {
      ...{
        app: this.spec.name,
        presentMs,
        score: score / presentMs,
        share: share / presentMs,
        usedShare: usedMs / presentMs,
      },
      ...{ level, steps },
    };
  }

  row(): AppRow {
    const { presentMs, score } = this.whole;
    const { name, kind, weight } = this.spec;
    return { app: name, kind, weight, score: presentMs === 0 ? 0 : score / presentMs, presentMs, ...this.counts };
  }

  private get presentDrift(): TraceDrift {
    if (this.drift) return this.drift;
    const { name } = this.spec;
    throw new LimberError(
      "config.invalid",
      `scenario: a drift for every app from its arrival on, got none for "${name}"`,
    );
  }

  private levelOf(level: number): Level {
    return this.recording.levels[level]!;
  }

  private framesIn(intervalMs: number): number {
    return (this.spec.fps * this.burst * intervalMs) / 1000;
  }

  /** As planners count them. */
  private wholeFramesIn(intervalMs: number): number {
    return Math.round(this.framesIn(intervalMs));
  }

  private keepLearnt(): void {
    const { drift, learnt, training } = this;
    if (drift) learnt.set(drift, Math.max(learnt.get(drift) ?? 0, training.steps));
  }

  /** Steps that a model newly made need not repeat. */
  private startSteps(): number {
    return Math.floor(this.options.feedback * (this.learnt.get(this.presentDrift) ?? 0));
  }

  private observationOf(level: number, steps: number): Observation {
    return { level, steps, signals: this.recording.signals(this.presentDrift, level, steps) };
  }

  /** The score that labels are not needed for. */
  private scoreSeen(level: number, steps: number): number {
    const { estimator } = this.options;
    return estimator.score(this.spec.kind, this.observationOf(level, steps), { levels: this.recording.levels });
  }
}
