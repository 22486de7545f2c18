import { setImmediate } from "node:timers/promises";
import { isLimberError, LimberError, type LongCall, throwIfAborted } from "../../base/index.js";
import type { Level } from "../app.js";
import type { Estimator } from "../estimate/index.js";
import type { Plan, Planner, PlanRequest } from "../plan.js";
import { interpolateLevels } from "../profile/index.js";
import type { Trace } from "../trace.js";
import { shareFluidly } from "./fluid.js";
import { isWithinLimits } from "./limits.js";
import { Predictions } from "./predictions.js";
import { Recording } from "./recording.js";
import type { DeviceTime, PlanCause, PlanEntry, SimulationReport, WindowRow } from "./report.js";
import { endOf, type Scenario } from "./scenario.js";
import { SimulatedApp } from "./simulated-app.js";
import { type Moment, timelineOf } from "./timeline.js";

export interface SimulateOptions extends LongCall {
  /** Of every kind of app in the scenario. */
  readonly traces: readonly Trace[];
  readonly estimator: Estimator;
  /** Of the planner. Default 0. */
  readonly seed?: number | undefined;
  /** Steps that planners grant at a time. Default 2: most of what training brings comes with the first steps. */
  readonly quantum?: number | undefined;
  /** Levels that a kind of app can run at. Default: 17 or so, those that were measured and others between them. */
  readonly ladder?: ((trace: Trace) => readonly Level[]) | undefined;
  /** Every plan as it is made: the log of all decisions. */
  readonly onPlan?: ((entry: PlanEntry) => void) | undefined;
}

/**
 * Runs a scenario on a virtual clock. Time goes from one moment at which something happens to the next; in between the device is shared as
 * the time slicer shares it in the long run: predictions first, then what was planned in proportion to the shares that predictions leave, and no
 * time idle while planned work waits. What was trained serves from the next moment on. True scores are the trace's and only counted;
 * estimates come from recorded signals. Deterministic, but for `decisionMs`. When stopped, the report tells of what is done.
 * Throws: `config.invalid` for a scenario that is not one, or of kinds or drifts without a trace. Cost: a plan for each moment.
 */
export async function simulate(
  scenario: Scenario,
  planner: Planner,
  options: SimulateOptions,
): Promise<SimulationReport> {
  const moments = timelineOf(scenario);
  const device = new VirtualDevice(scenario, planner, options);
  let done = 0;
  try {
    for (const [i, moment] of moments.entries()) {
      options.onProgress?.({ stage: "simulate", done, total: moments.length, note: `window ${moment.window + 1}` });
      // signals and timers of the process have their turn
      await setImmediate();
      throwIfAborted(options.signal);
      device.reach(moment);
      device.run((moments[i + 1]?.atMs ?? endOf(scenario)) - moment.atMs);
      done++;
    }
  } catch (error) {
    if (!isLimberError(error, "aborted")) throw error;
  }
  return device.report(done === moments.length);
}

/** A turn of the plan that is not over. */
interface TurnAhead {
  readonly app: SimulatedApp;
  /** Of the app's planned steps, those of later turns. */
  readonly laterSteps: number;
}

/** Causes at which planners that go by trials try and decide; what they know changes at no other time. */
const TRIED_AT: ReadonlySet<PlanCause> = new Set(["window", "arrival", "drift"]);

/** Steps of the ladder between the smallest and the largest level: 0.05 of sparsity where it goes up to 0.8. */
const LADDER_STEPS = 16;

function fineLevelsOf({ levels }: Trace): readonly Level[] {
  const filters = levels.at(-1)!.size - levels[0]!.size;
  return interpolateLevels(levels, { quantum: Math.max(1, Math.ceil(filters / LADDER_STEPS)) });
}

class VirtualDevice {
  private readonly apps: ReadonlyMap<string, SimulatedApp>;
  private readonly time = { predictMs: 0, makeMs: 0, trainMs: 0, trialMs: 0, idleMs: 0 };
  private readonly windows: WindowRow[] = [];
  private readonly decisionMs: number[] = [];
  private readonly counts = { overBudget: 0, trials: 0 };
  private window = 0;
  private turns: TurnAhead[] = [];
  /** Trials that were decided by and have yet to take their time. */
  private trialMs = 0;

  constructor(
    private readonly scenario: Scenario,
    private readonly planner: Planner,
    private readonly options: SimulateOptions,
  ) {
    const { traces, ladder = fineLevelsOf, estimator, quantum = 2 } = options;
    const recordings = new Map(traces.map((trace) => [trace.kind, new Recording(trace, ladder(trace))]));
    const create = (spec: Scenario["apps"][number]): SimulatedApp => {
      const recording = recordings.get(spec.kind);
      if (recording) return new SimulatedApp(spec, recording, { estimator, quantum, feedback: scenario.feedback });
      const message = `scenario "${scenario.name}": kinds of ${[...recordings.keys()].join(", ")}, got "${spec.kind}"; give its trace`;
      throw new LimberError("config.invalid", message, { kind: spec.kind });
    };
    this.apps = new Map(scenario.apps.map((spec) => [spec.name, create(spec)]));
  }

  /** All that happens at a moment: swap, look, close the window, change, plan. */
  reach({ atMs, window, clock, changes }: Moment): void {
    for (const app of this.present) app.swap();
    if (clock === "window" && atMs > 0) this.closeWindow();
    this.window = window;
    const causes = new Set<PlanCause>(clock ? [clock] : []);
    for (const change of changes) {
      const app = this.apps.get(change.app)!;
      if (change.what === "drift") app.driftTo(change.drift);
      else if (change.what === "burst") app.askedTimes(change.factor);
      else app.isPresent = change.what === "arrival";
      if (app.isPresent || change.what === "departure") causes.add(change.what);
    }
    for (const app of this.present) app.observe();
    this.plan(atMs, [...causes]);
  }

  /** Until the next moment, turn by turn where the plan has any; within a turn all goes on at the same rates. */
  run(intervalMs: number): void {
    const { present } = this;
    const predictions = new Predictions(present);
    let leftMs = intervalMs;
    for (let turn = this.turns[0]; turn; turn = this.turns[0]) {
      const turnMs = durationOf(turn, predictions.askedShare);
      if (turnMs > leftMs) break;
      this.advance(turnMs, predictions, [turn.app], turn.laterSteps);
      predictions.swap(turn.app);
      leftMs -= turnMs;
      this.turns.shift();
    }
    const turn = this.turns[0];
    if (leftMs > 0) this.advance(leftMs, predictions, turn ? [turn.app] : present, turn?.laterSteps);
    predictions.end();
  }

  /** Some work, all predict. */
  private advance(
    intervalMs: number,
    predictions: Predictions,
    working: readonly SimulatedApp[],
    laterSteps: number | undefined,
  ): void {
    const { time } = this;
    let leftMs = intervalMs;
    const take = (ms: number): number => {
      leftMs = Math.max(0, leftMs - ms);
      return ms;
    };
    const shareOut = (demandOf: (app: SimulatedApp) => number): readonly number[] =>
      shareFluidly(
        leftMs,
        working.map(demandOf),
        working.map(({ workWeight }) => workWeight),
      );
    // first, so that a model too large for what is asked of it does not keep the smaller one from being made
    for (const [i, makeMs] of shareOut((app) => app.makeLeftMs).entries())
      time.makeMs += take(working[i]!.make(makeMs));
    time.predictMs += take(predictions.pass(intervalMs, leftMs));
    const trialMs = take(Math.min(this.trialMs, leftMs));
    this.trialMs -= trialMs;
    time.trialMs += trialMs;
    for (const [i, trainMs] of shareOut((app) => (app.makeLeftMs > 0 ? 0 : app.trainLeftMs(laterSteps))).entries())
      time.trainMs += take(working[i]!.train(trainMs));
    time.idleMs += leftMs;
  }

  report(complete: boolean): SimulationReport {
    this.closeWindow();
    const { scenario, planner, options, windows, decisionMs } = this;
    const apps = [...this.apps.values()].map((app) => app.row());
    const seen = apps.filter(({ presentMs }) => presentMs > 0);
    return {
      ...{ scenario: scenario.name, planner: planner.name, seed: options.seed ?? 0 },
      score: meanBy(seen, ({ presentMs }) => presentMs),
      weightedScore: meanBy(seen, ({ presentMs, weight }) => presentMs * weight),
      worstScore: seen.reduce((least, { score }) => Math.min(least, score), 1),
      ...{ apps, windows, decisionMs, complete, ...this.counts },
      device: { ...this.time } satisfies DeviceTime,
      plans: decisionMs.length,
    };
  }

  private get present(): readonly SimulatedApp[] {
    return [...this.apps.values()].filter(({ isPresent }) => isPresent);
  }

  private plan(atMs: number, causes: readonly PlanCause[]): void {
    const { scenario, planner, options } = this;
    const { windowMs, memoryBytes, floorShare } = scenario.device;
    const mayTry = causes.some((cause) => TRIED_AT.has(cause));
    if (planner.trials && !mayTry) return;
    const leftMs = (this.window + 1) * windowMs - atMs;
    const { present } = this;
    // trials take their time off the window, those of an earlier plan that have not had it yet among them
    const request = (): PlanRequest => ({
      device: { windowMs: Math.max(0, leftMs - this.trialMs), memoryBytes, floorShare },
      apps: present.map((app) => app.stateFor(leftMs)),
      seed: options.seed,
    });
    const startedAt = performance.now();
    const trials = planner.trials?.(request()) ?? [];
    for (const trial of trials) {
      const app = this.apps.get(trial.app)!;
      this.trialMs += app.trialMs(trial);
      app.try(trial);
    }
    const asked = request();
    const plan = planner.plan(asked);
    const decisionMs = performance.now() - startedAt;
    const isOverBudget = !isWithinLimits(plan, asked);
    this.decisionMs.push(decisionMs);
    this.counts.trials += trials.length;
    this.counts.overBudget += isOverBudget ? 1 : 0;
    const refused = new Set(plan.refused);
    const allocations = new Map(plan.allocations.map((allocation) => [allocation.app, allocation]));
    for (const app of present) {
      const { name } = app.spec;
      app.follow(refused.has(name) ? undefined : allocations.get(name), plan, leftMs);
    }
    this.turns = this.turnsAheadOf(plan);
    options.onPlan?.({ atMs, window: this.window, causes, decisionMs, isOverBudget, plan });
  }

  private turnsAheadOf({ turns = [] }: Plan): TurnAhead[] {
    const later = new Map<string, number>();
    return turns
      .toReversed()
      .map(({ app, steps }) => {
        const laterSteps = later.get(app) ?? 0;
        later.set(app, laterSteps + steps);
        return { app: this.apps.get(app)!, laterSteps };
      })
      .toReversed();
  }

  private closeWindow(): void {
    const apps = [...this.apps.values()].flatMap((app) => app.closeWindow() ?? []);
    const presentMs = apps.reduce((sum, each) => sum + each.presentMs, 0);
    this.windows.push({
      window: this.window,
      startMs: this.window * this.scenario.device.windowMs,
      score: apps.reduce((sum, each) => sum + each.score * each.presentMs, 0) / (presentMs || 1),
      apps,
    });
  }
}

/** Of making and training beside the predictions of all. */
function durationOf({ app, laterSteps }: TurnAhead, predictShare: number): number {
  const trainMs = app.trainLeftMs(laterSteps);
  const workMs = app.makeLeftMs + trainMs;
  if (workMs === 0) return 0;
  return predictShare < 1 ? workMs / (1 - predictShare) : trainMs > 0 ? Infinity : workMs;
}

function meanBy<T extends { readonly score: number }>(rows: readonly T[], weightOf: (row: T) => number): number {
  const total = rows.reduce((sum, row) => sum + weightOf(row), 0);
  return rows.reduce((sum, row) => sum + row.score * weightOf(row), 0) / (total || 1);
}
