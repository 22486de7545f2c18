import type { RunTensor } from "../../run/node.js";
import type { BatchTruth, Meter } from "../../vision/index.js";
import type { AppState, Level, Trial } from "../app.js";
import { type Estimator, ScoreTracker } from "../estimate/index.js";
import { type MeasuredTime, profileDriftOf } from "../profile/index.js";
import type { Allocation } from "../plan.js";
import type { RunningApp } from "../running-app.js";
import type { Signals } from "../trace.js";
import type { Frame, FrameSource } from "./frames.js";
import { latencyOf } from "./latency.js";
import type { LiveAppRow, LiveWindowApp } from "./report.js";

/** An app with its camera. */
export interface LiveApp extends FrameSource {
  readonly app: RunningApp;
  /** What the estimator knows it as. */
  readonly kind: string;
  /** Default 1. */
  readonly weight?: number | undefined;
  readonly deadlineMs?: number | undefined;
  /** Units: milliseconds from the start; default: there from the start to the end. */
  readonly arriveMs?: number | undefined;
  readonly departMs?: number | undefined;
  /** Steps that planners grant at a time, and at most in one surroundings. Defaults 2 and 40: most of what training brings comes with the first steps. */
  readonly quantum?: number | undefined;
  readonly maxSteps?: number | undefined;
  /** Pictures of new surroundings until their drift is acted upon: what a model is made for. Default 16. */
  readonly probe?: number | undefined;
  /** What the model that serves at first was made for. Default: the first surroundings that it sees. */
  readonly surroundings?: string | undefined;
  /** Judges the answers to frames whose truth is known, when the run is over: until then they are kept, so this is for measurements. */
  readonly createMeter?: (() => Meter) | undefined;
  /** The same app once more, for trials of planners: it is disposed after them. */
  readonly openTwin?: (() => Promise<RunningApp>) | undefined;
}

/** Times that a pace is read from. */
const PACES_KEPT = 64;

interface Tally {
  presentMs: number;
  shareMs: number;
  usedMs: number;
  asked: number;
  served: number;
  late: number;
  dropped: number;
  shed: number;
  failed: number;
  readonly latencies: number[];
  readonly answers: { readonly output: RunTensor; readonly truth: BatchTruth }[];
}

/** An app at work, with all that is known of it. A planner sees no more than `stateFor`. */
export class LiveSlot {
  isPresent = false;
  /** Its model was made for other surroundings. */
  isStale = false;
  /** Something that trains failed: it only serves, until the window ends. */
  hasFailed = false;
  /** Changed since it was last looked at, or that was too long ago. */
  isUnseen = true;
  seenAtMs = -Infinity;
  allocation: Allocation | undefined;
  /** Steps granted and not done. */
  plannedSteps = 0;
  trials: readonly Trial[] = [];
  /** Pictures seen last, for twins; kept where there are any. */
  readonly pictures: RunTensor[] = [];
  readonly counts = { steps: 0, remodels: 0, failures: 0 };
  private readonly paces: Readonly<Record<"stepMs" | "makeMs", MeasuredTime[]>> = { stepMs: [], makeMs: [] };
  private admitted = 1;
  private dueShare = 0;
  private estimated: number | undefined;
  private readonly history: number[] = [];
  private readonly tracker: ScoreTracker;
  private surroundings: { readonly name: string | undefined; pictures: number; isKnown: boolean } | undefined;
  private window = this.emptyTally();
  private readonly whole = this.emptyTally();
  private readonly windowScores: { readonly score: number; readonly presentMs: number }[] = [];

  constructor(
    readonly spec: LiveApp,
    private readonly estimator: Estimator,
  ) {
    this.tracker = new ScoreTracker(estimator, spec.kind, spec.app.levels);
  }

  get name(): string {
    return this.spec.app.name;
  }

  /** Takes what a step or a model took, of which the profile of the level says something else: plans go by what things take now. */
  measured(what: "stepMs" | "makeMs", tookMs: number): void {
    const { app } = this.spec;
    const profiledMs = app.levels[app.level ?? 0]![what];
    this.paces[what].push({ profiledMs, measuredMs: tookMs });
    if (this.paces[what].length > PACES_KEPT) this.paces[what].shift();
  }

  private get levels(): readonly Level[] {
    const [step, make] = [profileDriftOf(this.paces.stepMs).ratio, profileDriftOf(this.paces.makeMs).ratio];
    return this.spec.app.levels.map((level) => ({
      ...level,
      stepMs: step * level.stepMs,
      makeMs: make * level.makeMs,
    }));
  }

  /** Takes the pictures of a frame; gives the surroundings that it drifted to, once enough of them are seen. */
  look({ images, surroundings: name }: Frame): string | undefined {
    const { app, probe = 16, openTwin } = this.spec;
    app.observe(images);
    if (openTwin) this.pictures.push(images);
    if (this.pictures.length > 64) this.pictures.shift();
    this.surroundings ??= { name: this.spec.surroundings ?? name, pictures: 0, isKnown: true };
    if (name !== undefined && this.surroundings.name !== name)
      this.surroundings = { name, pictures: 0, isKnown: false };
    const present = this.surroundings;
    present.pictures += images.dims[0]!;
    if (present.isKnown || present.pictures < probe) return undefined;
    present.isKnown = true;
    app.forget(present.pictures);
    this.tracker.forget();
    this.isStale = this.isUnseen = true;
    return name;
  }

  /** Whether the plan admits the next frame: it gives frames up evenly. */
  admits(): boolean {
    this.dueShare += this.admitted;
    if (this.dueShare < 1 - 1e-9) return false;
    this.dueShare -= 1;
    return true;
  }

  /** What the model that serves tells; gives the score that it is thought to have. */
  observed(signals: Signals): number {
    const { level, steps } = this.spec.app;
    // what was trained for other surroundings has taken nothing of what there is to gain in these
    const here = this.isStale ? 0 : steps;
    return (this.estimated = this.tracker.observe({ level: level ?? 0, steps: here, signals }));
  }

  /** The score that signals alone speak for, of any model of this app. */
  scoreOf(level: number, steps: number, signals: Signals): number {
    const { kind, app } = this.spec;
    return this.estimator.score(kind, { level, steps, signals }, { levels: app.levels });
  }

  /** What a planner is told. While nothing was seen of its surroundings, and once training failed, nothing is expected of training. */
  stateFor(leftMs: number): AppState {
    const { app, weight = 1, fps, deadlineMs, quantum = 2, maxSteps = 40 } = this.spec;
    const known = this.estimated ?? 0;
    const estimate = this.tracker.hasSeen ? this.tracker.hope : () => known;
    const trained = (level: number): number => (level === app.level && !this.isStale ? app.steps : 0);
    return {
      ...{ name: this.name, weight, deadlineMs, levels: this.levels, quantum },
      // made for other surroundings, it has to be made anew at any level
      level: this.isStale ? undefined : app.level,
      present: Math.max(0, known - this.estimator.renewal(this.spec.kind)),
      ...{ frames: (fps * leftMs) / 1000, maxSteps: this.hasFailed ? 0 : maxSteps },
      estimate: (level, steps) => estimate(level, Math.max(0, Math.min(steps, maxSteps - trained(level)))),
      ...{ history: [...this.history], trials: this.trials },
    };
  }

  /** Does from now on as the plan says; without a place in it, nothing. */
  follow(allocation: Allocation | undefined, leftMs: number): void {
    const frames = (this.spec.fps * leftMs) / 1000;
    this.allocation = allocation;
    this.plannedSteps = allocation?.steps ?? 0;
    this.admitted = !allocation ? 0 : frames > 0 ? Math.max(0, 1 - allocation.shed / frames) : 1;
  }

  /** So much time went by at the present share. */
  pass(ms: number, usedMs: number): void {
    for (const tally of [this.window, this.whole]) {
      tally.presentMs += ms;
      tally.shareMs += ms * (this.allocation?.share ?? 0);
      tally.usedMs += usedMs;
    }
  }

  count(what: "dropped" | "shed" | "failed", frames: number): void {
    for (const tally of [this.window, this.whole]) {
      tally.asked += frames;
      tally[what] += frames;
    }
  }

  /** True for the first failure of a prediction in the window. */
  get isFirstFailure(): boolean {
    return this.window.failed === 1;
  }

  answered(frame: Frame, output: RunTensor, tookMs: number): void {
    for (const tally of [this.window, this.whole]) {
      tally.asked++;
      tally.served++;
      if (tookMs > (this.spec.deadlineMs ?? Infinity)) tally.late++;
      tally.latencies.push(tookMs);
    }
    if (frame.truth && this.spec.createMeter) this.window.answers.push({ output, truth: frame.truth });
  }

  /** What is to be told of a window that ended, when there is time to judge its answers; nothing where it was not there. */
  closeWindow(): (() => LiveWindowApp) | undefined {
    const tally = this.window;
    this.window = this.emptyTally();
    [this.hasFailed, this.trials] = [false, []];
    const { presentMs, shareMs, usedMs, latencies } = tally;
    if (presentMs === 0) return undefined;
    const { name, estimated } = this;
    const { level, steps } = this.spec.app;
    if (this.isPresent && estimated !== undefined) this.history.push(estimated);
    return () => ({
      ...{ app: name, presentMs, score: this.judge(tally), estimated },
      ...{ share: shareMs / presentMs, usedShare: usedMs / presentMs, level, steps },
      ...unanswered(tally),
      latency: latencyOf(latencies),
    });
  }

  /** What got no answer counts 0, as in a simulation. */
  private judge({ answers, asked, served, presentMs }: Tally): number | undefined {
    const meter = answers.length > 0 ? this.spec.createMeter?.() : undefined;
    if (!meter) return undefined;
    for (const { output, truth } of answers) meter.add(output, truth);
    const score = meter.read().value * (served / asked);
    this.windowScores.push({ score, presentMs });
    return score;
  }

  /** Once all windows are judged. */
  row(): LiveAppRow {
    const { presentMs, asked, served, late, latencies } = this.whole;
    const scoredMs = this.windowScores.reduce((sum, each) => sum + each.presentMs, 0);
    const sum = this.windowScores.reduce((total, each) => total + each.score * each.presentMs, 0);
    const { kind, weight = 1 } = this.spec;
    return {
      ...{ app: this.name, kind, weight, presentMs, score: scoredMs > 0 ? sum / scoredMs : undefined },
      ...{ framesAsked: asked, framesServed: served, framesLate: late, ...unanswered(this.whole), ...this.counts },
      latency: latencyOf(latencies),
    };
  }

  private emptyTally(): Tally {
    const none = { presentMs: 0, shareMs: 0, usedMs: 0, asked: 0, served: 0, late: 0, dropped: 0, shed: 0, failed: 0 };
    return { ...none, latencies: [], answers: [] };
  }
}

const unanswered = ({ dropped, shed, failed }: Tally) => ({
  framesDropped: dropped,
  framesShed: shed,
  framesFailed: failed,
});
