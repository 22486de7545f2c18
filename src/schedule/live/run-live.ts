import { isLimberError, LimberError, type LongCall } from "../../base/index.js";
import type { Trial, TrialRequest } from "../app.js";
import type { Estimator } from "../estimate/index.js";
import type { Plan, Planner, PlanRequest, Turn } from "../plan.js";
import { isWithinLimits } from "../simulate/limits.js";
import type { PlanCause } from "../simulate/report.js";
import type { ScenarioDevice } from "../simulate/scenario.js";
import { type Clock, REAL_CLOCK } from "../slice/clock.js";
import { TimeSlicer } from "../slice/time-slicer.js";
import { type Frame, serveFrames } from "./frames.js";
import type { LiveEntry, LiveEvent, LiveWork } from "./journal.js";
import { type LiveApp, LiveSlot } from "./live-app.js";
import { type LiveReport, type LiveWindow, type LiveWindowApp, meanScore } from "./report.js";

export interface LiveOptions extends LongCall {
  readonly planner: Planner;
  readonly estimator: Estimator;
  readonly device: ScenarioDevice;
  /** How long it runs. Default: until the signal fires. */
  readonly windows?: number | undefined;
  /** Of the planner. Default 0. */
  readonly seed?: number | undefined;
  /** Of the time slicer. Units: milliseconds; default 100. */
  readonly quantumMs?: number | undefined;
  /** Every decision, and what was done about it. */
  readonly journal?: ((entry: LiveEntry) => void) | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Runs apps on this device, by the plans of a planner: the real counterpart of `simulate`. Frames are served as they fall due, whatever
 * trains. At the start of a window, and when an app comes, goes or drifts, apps are looked at without labels, and the time left is planned
 * anew; making and training are cut into steps, which the time slicer runs turn by turn, or by the plan's shares where it has no turns. What
 * was trained serves from the end of a turn on, or once all that its app was granted is done, or at the end of a part of a window
 * (`microWindows`); then all are looked at, and what is left is planned again.
 *
 * An app whose training fails only serves until the window ends; failures are counted and in the journal. Apps belong to the caller.
 * When stopped, the report tells of what is done.
 * Throws: `config.invalid` for two apps of one name, figures that make no sense, or a planner with trials and an app without `openTwin`.
 */
export async function runLive(apps: readonly LiveApp[], options: LiveOptions): Promise<LiveReport> {
  checkOptions(apps, options);
  const device = new LiveDevice(apps, options);
  const stop = (): void => device.stop();
  if (options.signal?.aborted) stop();
  options.signal?.addEventListener("abort", stop, { once: true });
  try {
    return await device.run();
  } finally {
    options.signal?.removeEventListener("abort", stop);
    await device.end();
  }
}

function checkOptions(apps: readonly LiveApp[], { device, windows, planner }: LiveOptions): void {
  const refuse = (message: string): never => {
    throw new LimberError("config.invalid", message);
  };
  const { windowMs, microWindows } = device;
  if (!(windowMs > 0)) refuse(`window: milliseconds above 0, got ${windowMs}`);
  if (!(Number.isInteger(microWindows) && microWindows > 0))
    refuse(`parts of a window: a whole number above 0, got ${microWindows}`);
  if (windows !== undefined && !(Number.isInteger(windows) && windows >= 0))
    refuse(`windows: a whole number of at least 0, got ${windows}`);
  for (const [i, { app, fps, openTwin }] of apps.entries()) {
    if (!(fps > 0 && fps <= 1000)) refuse(`app "${app.name}": up to 1000 frames per second, got ${fps}`);
    if (apps.findIndex((other) => other.app.name === app.name) < i)
      refuse(`app "${app.name}": a name of its own, got one that another app has`);
    if (planner.trials && !openTwin)
      refuse(`app "${app.name}": a twin for the trials of planner "${planner.name}", got none; give openTwin`);
  }
}

/** Share of a window that its plan waits for looks, at most. */
const LOOKING = 1 / 8;

/** What gives no reason for trials. */
const UNTRIED: ReadonlySet<PlanCause> = new Set(["micro-window", "departure", "look"]);

type TimeUse = "makeMs" | "trainMs" | "trialMs" | "observeMs";

class LiveDevice {
  private readonly slots: readonly LiveSlot[];
  private readonly clock: Clock;
  private readonly slicer: TimeSlicer;
  private readonly stopping = new AbortController();
  private readonly startMs: number;
  private readonly time = { predictMs: 0, makeMs: 0, trainMs: 0, trialMs: 0, observeMs: 0 };
  private readonly cameras = new Map<LiveSlot, { readonly over: AbortController; readonly done: Promise<void> }>();
  private readonly windows: { readonly window: number; readonly apps: readonly (() => LiveWindowApp)[] }[] = [];
  private readonly decisionMs: number[] = [];
  private readonly tally = { overBudget: 0, trials: 0 };
  private window = 0;
  /** Up to when time was counted, by app with the time that it had used by then. */
  private passedMs: number;
  private readonly usedMs = new Map<LiveSlot, number>();
  /** What happened since the last plan. */
  private causes = new Set<PlanCause>();
  private interrupt = new AbortController();
  /** Under way. */
  private readonly looks = new Map<LiveSlot, Promise<void>>();

  constructor(
    apps: readonly LiveApp[],
    private readonly options: LiveOptions,
  ) {
    const { clock = REAL_CLOCK, estimator, quantumMs, device } = options;
    this.clock = clock;
    this.slots = apps.map((spec) => new LiveSlot(spec, estimator));
    const { signal } = this.stopping;
    this.slicer = new TimeSlicer({ clock, signal, quantumMs, floorShare: device.floorShare });
    this.startMs = this.passedMs = clock.now();
  }

  stop(): void {
    this.stopping.abort();
    this.interrupt.abort();
  }

  /** Ends what still runs. */
  async end(): Promise<void> {
    this.stop();
    for (const { over } of this.cameras.values()) over.abort();
    await Promise.all([...this.cameras.values()].map(({ done }) => done));
  }

  async run(): Promise<LiveReport> {
    const { windows: total = Infinity, device, onProgress } = this.options;
    let isComplete = true;
    for (; this.window < total; this.window++) {
      onProgress?.({ stage: "live", done: this.window, total, note: `window ${this.window + 1}` });
      this.causes.add("window");
      // pictures change as well, but what was looked at within a part of a window ago is known
      for (const slot of this.slots)
        if (this.now - slot.seenAtMs > device.windowMs / device.microWindows) slot.isUnseen = true;
      const endMs = (this.window + 1) * device.windowMs;
      while (this.now < endMs && !this.stopping.signal.aborted) await this.runPart(endMs);
      isComplete = !this.stopping.signal.aborted;
      if (!isComplete || this.window + 1 === total) await this.end();
      this.closeWindow();
      if (!isComplete) break;
    }
    return this.report(isComplete);
  }

  private get now(): number {
    return this.clock.now() - this.startMs;
  }

  private get present(): readonly LiveSlot[] {
    return this.slots.filter(({ isPresent }) => isPresent);
  }

  private get unseen(): readonly LiveSlot[] {
    return this.stopping.signal.aborted ? [] : this.present.filter(({ isUnseen }) => isUnseen);
  }

  /** From one plan to the next. */
  private async runPart(windowEndMs: number): Promise<void> {
    const { windowMs, microWindows } = this.options.device;
    await this.comeAndGo();
    await this.lookAround();
    const part = Math.floor(((this.now - this.window * windowMs) / windowMs) * microWindows + 1e-9) + 1;
    const partEndMs = Math.min(windowEndMs, (this.window + part / microWindows) * windowMs);
    const interrupt = (this.interrupt = new AbortController());
    const { signal } = interrupt;
    if (this.stopping.signal.aborted || this.now >= windowEndMs) return;
    const plan = await this.plan(windowEndMs);
    if (this.looks.size > 0) void this.afterLooks(interrupt);
    const over = new AbortController();
    const busy = this.present.filter((slot) => this.hasWork(slot));
    const jobs =
      plan?.turns && busy.length > 0
        ? [this.workInTurns(plan.turns, busy, over.signal)]
        : busy.map((slot) => this.work(slot, over.signal));
    const untilMs = Math.min(partEndMs, ...this.slots.flatMap((slot) => this.nextMove(slot)));
    const slept = this.clock.sleep(untilMs - this.now, signal);
    await Promise.race([slept, jobs.length > 0 ? Promise.all(jobs) : slept]);
    over.abort();
    this.interrupt.abort();
    await Promise.all(jobs);
    this.pass();
  }

  /** When an app comes or goes next. */
  private nextMove({ spec, isPresent }: LiveSlot): number[] {
    const { arriveMs = 0, departMs = Infinity } = spec;
    return [arriveMs, departMs].slice(isPresent ? 1 : 0).filter((atMs) => atMs > this.now);
  }

  private async comeAndGo(): Promise<void> {
    for (const slot of this.slots) {
      const { arriveMs = 0, departMs = Infinity } = slot.spec;
      const isDue = this.now >= arriveMs && this.now < departMs;
      if (isDue === slot.isPresent) continue;
      slot.isPresent = isDue;
      this.causes.add(isDue ? "arrival" : "departure");
      this.log({ kind: isDue ? "arrived" : "departed", app: slot.name });
      if (isDue) this.open(slot);
      else await this.close(slot);
    }
  }

  private open(slot: LiveSlot): void {
    this.slicer.open(slot.name, 0);
    this.usedMs.set(slot, 0);
    const over = new AbortController();
    const done = serveFrames(slot.spec, {
      ...{ clock: this.clock, signal: over.signal },
      serve: (frame, dueMs) => this.answer(slot, frame, dueMs),
      onDropped: (count) => slot.count("dropped", count),
    }).catch((error: unknown) => this.fail(slot, "frames", error));
    this.cameras.set(slot, { over, done });
  }

  private async close(slot: LiveSlot): Promise<void> {
    const camera = this.cameras.get(slot);
    camera?.over.abort();
    await camera?.done;
    this.cameras.delete(slot);
    this.slicer.close(slot.name);
  }

  private async answer(slot: LiveSlot, frame: Frame, dueMs: number): Promise<void> {
    const { app } = slot.spec;
    const surroundings = slot.look(frame);
    if (surroundings !== undefined) {
      this.log({ kind: "drifted", app: slot.name, surroundings });
      this.causes.add("drift");
      this.interrupt.abort();
    }
    if (!slot.admits()) return slot.count("shed", 1);
    const startMs = this.clock.now();
    const output = await this.slicer
      .serve(slot.name, () => app.predict(frame.images))
      .catch((error: unknown) => {
        slot.count("failed", 1);
        if (slot.isFirstFailure) this.fail(slot, "predict", error);
      });
    this.time.predictMs += this.clock.now() - startMs;
    if (output) slot.answered(frame, output, this.clock.now() - dueMs);
  }

  /**
   * Looks at what changed, and waits until all is seen, but no longer than a plan may wait for: then it goes by what is known, and the looks
   * that are left go on beside the work.
   */
  private async lookAround(): Promise<void> {
    const done = new AbortController();
    let isLate = false;
    const { windowMs } = this.options.device;
    const late = this.clock.sleep(windowMs * LOOKING, done.signal).then(() => void (isLate = true));
    // one may drift while others are looked at
    while (!isLate && (this.unseen.length > 0 || this.looks.size > 0)) {
      for (const slot of this.unseen.filter((each) => !this.looks.has(each)))
        this.looks.set(
          slot,
          this.observe(slot).finally(() => this.looks.delete(slot)),
        );
      await Promise.race([late, Promise.all(this.looks.values())]);
    }
    done.abort();
  }

  /** Once what a plan did not wait for is seen, the rest is planned anew. */
  private async afterLooks(interrupt: AbortController): Promise<void> {
    await Promise.all(this.looks.values());
    if (interrupt.signal.aborted) return;
    this.causes.add("look");
    interrupt.abort();
  }

  /** Looks at what serves, at the app's turn; what it tells goes into its estimates. */
  private async observe(slot: LiveSlot): Promise<void> {
    const { app } = slot.spec;
    slot.isUnseen = false;
    slot.seenAtMs = this.now;
    if (app.level === undefined) return;
    const look = async (): Promise<void> => {
      const { result: signals } = await this.timed("observeMs", () => app.signals());
      const { level, steps } = app;
      this.log({ kind: "observed", app: slot.name, level: level!, steps, signals, score: slot.observed(signals) });
    };
    const { error } = await this.slicer.submit(slot.name, once(look));
    if (error) this.fail(slot, "observe", error);
  }

  private async plan(windowEndMs: number): Promise<Plan | undefined> {
    const { planner, device, seed } = this.options;
    const causes: readonly PlanCause[] = this.causes.size > 0 ? [...this.causes] : ["micro-window"];
    this.causes.clear();
    // what trials tell changes at no other time
    if (planner.trials && causes.every((cause) => UNTRIED.has(cause))) return undefined;
    const requestNow = (): PlanRequest => ({
      device: { ...device, windowMs: Math.max(0, windowEndMs - this.now) },
      apps: this.present.map((slot) => slot.stateFor(Math.max(0, windowEndMs - this.now))),
      seed,
    });
    const startMs = performance.now();
    const trials = planner.trials?.(requestNow()) ?? [];
    let decisionMs = performance.now() - startMs;
    await this.try(trials);
    const request = requestNow();
    const decideMs = performance.now();
    const plan = planner.plan(request);
    decisionMs += performance.now() - decideMs;
    const isOverBudget = !isWithinLimits(plan, request);
    this.decisionMs.push(decisionMs);
    this.tally.overBudget += isOverBudget ? 1 : 0;
    const refused = new Set(plan.refused);
    const allocations = new Map(plan.allocations.map((allocation) => [allocation.app, allocation]));
    this.pass();
    for (const slot of this.present) {
      const allocation = refused.has(slot.name) ? undefined : allocations.get(slot.name);
      slot.follow(allocation, request.device.windowMs);
    }
    this.slicer.setShares(this.present.map(({ name, allocation }) => [name, Math.min(1, allocation?.share ?? 0)]));
    this.log({ kind: "plan", window: this.window, causes, decisionMs, isOverBudget, plan });
    return plan;
  }

  /** Runs trials on twins, which go afterwards. A trial that fails tells nothing. */
  private async try(requests: readonly TrialRequest[]): Promise<void> {
    const tried = this.present.map(async (slot) => {
      const own = requests.filter(({ app }) => app === slot.name);
      if (own.length === 0) return;
      const trials: Trial[] = (slot.trials = []);
      const { error } = await this.slicer.submit(slot.name, this.trialsOf(slot, own, trials));
      if (error) this.fail(slot, "trial", error);
    });
    await Promise.all(tried);
  }

  /** In steps that others may come between, as a plan's. */
  private async *trialsOf(slot: LiveSlot, requests: readonly TrialRequest[], trials: Trial[]): AsyncGenerator<void> {
    await using twin = await slot.spec.openTwin!();
    for (const images of slot.pictures) twin.observe(images);
    yield;
    for (const { app, level, steps } of requests) {
      let spentMs = 0;
      const spend = async <T>(work: () => Promise<T>): Promise<T> => {
        const { result, tookMs } = await this.timed("trialMs", work);
        spentMs += tookMs;
        return result;
      };
      const look = async (at: number): Promise<number> => {
        await twin.swap();
        return slot.scoreOf(level, at, await twin.signals());
      };
      await spend(() => twin.remodel(level));
      yield;
      const before = await spend(() => look(0));
      yield;
      for (let i = 0; i < steps; i++) {
        await spend(() => twin.step());
        yield;
      }
      const trial = { app, level, steps, before, after: await spend(() => look(steps)) };
      trials.push(trial);
      this.tally.trials++;
      this.log({ kind: "tried", ...trial, tookMs: spentMs });
      yield;
    }
  }

  private hasWork(slot: LiveSlot): boolean {
    const { allocation, hasFailed, isStale, plannedSteps, spec } = slot;
    const isOther = isStale || allocation?.level !== spec.app.level;
    return allocation !== undefined && !hasFailed && (plannedSteps > 0 || isOther);
  }

  /** One after the other; models that have to be made anew whatever the plan says come last. */
  private async workInTurns(turns: readonly Turn[], busy: readonly LiveSlot[], over: AbortSignal): Promise<void> {
    for (const { app, steps } of [...turns, ...busy.map(({ name }) => ({ app: name, steps: 0 }))]) {
      const slot = busy.find(({ name }) => name === app);
      if (over.aborted) return;
      if (slot && this.hasWork(slot)) await this.work(slot, over, steps);
    }
  }

  private async work(slot: LiveSlot, over: AbortSignal, steps = slot.plannedSteps): Promise<void> {
    const doing: { what: LiveWork } = { what: "make" };
    const { error } = await this.slicer.submit(slot.name, this.stepsOf(slot, over, doing, steps));
    if (!error) return;
    slot.hasFailed = true;
    slot.counts.failures++;
    this.fail(slot, doing.what, error);
  }

  /** What a plan asks of an app, in steps that others may come between. */
  private async *stepsOf(
    slot: LiveSlot,
    over: AbortSignal,
    doing: { what: LiveWork },
    steps: number,
  ): AsyncGenerator<void> {
    const { app } = slot.spec;
    const { level } = slot.allocation!;
    const swap = async (): Promise<void> => {
      doing.what = "swap";
      await this.timed("trainMs", () => app.swap());
      slot.isUnseen = true;
    };
    if (app.level !== level || slot.isStale) {
      const { tookMs } = await this.timed("makeMs", () => app.remodel(level));
      slot.isStale = false;
      slot.counts.remodels++;
      slot.measured("makeMs", tookMs);
      this.log({ kind: "made", app: slot.name, level, tookMs });
      yield;
      await swap();
      yield;
    }
    doing.what = "train";
    let trainedMs = 0;
    const before = slot.plannedSteps;
    for (; slot.plannedSteps > Math.max(0, before - steps) && !over.aborted; slot.plannedSteps--) {
      const { tookMs } = await this.timed("trainMs", () => app.step());
      slot.measured("stepMs", tookMs);
      trainedMs += tookMs;
      slot.counts.steps++;
      yield;
    }
    if (slot.plannedSteps === before) return;
    this.log({ kind: "trained", app: slot.name, level, steps: app.steps, tookMs: trainedMs });
    await swap();
  }

  private async timed<T>(use: TimeUse, work: () => Promise<T>): Promise<{ result: T; tookMs: number }> {
    const startMs = this.clock.now();
    try {
      const result = await work();
      return { result, tookMs: this.clock.now() - startMs };
    } finally {
      this.time[use] += this.clock.now() - startMs;
    }
  }

  /** Counts the time since it was last counted, at the shares of that time. */
  private pass(): void {
    const ms = this.clock.now() - this.passedMs;
    this.passedMs += ms;
    for (const slot of this.present) {
      const usedMs = this.slicer.usedMs(slot.name);
      slot.pass(ms, usedMs - this.usedMs.get(slot)!);
      this.usedMs.set(slot, usedMs);
    }
  }

  private closeWindow(): void {
    this.pass();
    this.windows.push({ window: this.window, apps: this.slots.flatMap((slot) => slot.closeWindow() ?? []) });
  }

  private report(complete: boolean): LiveReport {
    const { options, decisionMs, time, now } = this;
    const windows = this.windows.map(({ window, apps: those }): LiveWindow => {
      const apps = those.map((judge) => judge());
      const startMs = window * options.device.windowMs;
      return { window, startMs, score: meanScore(apps, ({ presentMs }) => presentMs), apps };
    });
    const apps = this.slots.map((slot) => slot.row());
    const scores = apps.flatMap(({ score }) => score ?? []);
    const busyMs = Object.values(time).reduce((a, b) => a + b, 0);
    return {
      ...{ planner: options.planner.name, seed: options.seed ?? 0, apps, windows, decisionMs, complete },
      score: meanScore(apps, ({ presentMs }) => presentMs),
      weightedScore: meanScore(apps, ({ presentMs, weight }) => presentMs * weight),
      worstScore: scores.length > 0 ? Math.min(...scores) : undefined,
      device: { ...time, idleMs: Math.max(0, now - busyMs) },
      ...{ elapsedMs: now, plans: decisionMs.length, ...this.tally },
    };
  }

  private fail(slot: LiveSlot, doing: LiveWork, error: unknown): void {
    const { code, message } = isLimberError(error)
      ? error
      : { code: "run.failed" as const, message: error instanceof Error ? error.message : String(error) };
    this.log({ kind: "failed", app: slot.name, doing, code, message });
  }

  private log(event: LiveEvent): void {
    this.options.journal?.({ atMs: this.now, ...event });
  }
}

async function* once(work: () => Promise<unknown>): AsyncGenerator<void> {
  await work();
  yield;
}
