import { isLimberError, LimberError, type StopSignal } from "../../base/index.js";
import { type Clock, REAL_CLOCK } from "./clock.js";
import { Credits, type CreditOptions } from "./credits.js";

/** Work in steps: each `next` does one, and the device may go to another app between two. `return` is called where it is stopped. */
export type SliceJob = AsyncIterator<unknown, unknown, undefined>;

/** How a job ended. */
export interface JobEnd {
  /** `stopped`: its app was closed, or the caller asked to stop. */
  readonly outcome: "done" | "failed" | "stopped";
  readonly steps: number;
  /** Of its steps. Units: milliseconds. */
  readonly usedMs: number;
  /** Of a failed one. */
  readonly error?: LimberError;
}

export interface SlicerOptions extends CreditOptions {
  readonly clock?: Clock | undefined;
  /** Stops all jobs once the step under way is done. */
  readonly signal?: StopSignal | undefined;
}

interface QueuedJob {
  readonly job: SliceJob;
  readonly end: (end: JobEnd) => void;
  steps: number;
  usedMs: number;
}

/**
 * Runs the jobs of several apps on one device, a step at a time, each app with its share (`Credits`). Predictions go first: they begin at
 * once, beside the step under way, and the next step waits for those that have begun; their time is charged to their app too.
 *
 * A job that fails is taken out; those after it, of its app and of others, go on.
 */
export class TimeSlicer {
  private readonly credits: Credits;
  private readonly clock: Clock;
  private readonly signal: StopSignal | undefined;
  private readonly queues = new Map<string, QueuedJob[]>();
  private readonly serving = new Set<Promise<unknown>>();
  private isRunning = false;
  /** Whose step is under way. */
  private current: QueuedJob | undefined;

  /** Throws: `config.invalid`. */
  constructor({ clock = REAL_CLOCK, signal, ...options }: SlicerOptions = {}) {
    this.credits = new Credits(options);
    this.clock = clock;
    this.signal = signal;
  }

  /** An app comes. Throws: `config.invalid`. */
  open(name: string, share: number): void {
    this.credits.open(name, share);
    this.queues.set(name, []);
  }

  /** An app goes: its jobs stop, the one under way after its step. */
  close(name: string): void {
    const queue = this.queues.get(name) ?? [];
    this.queues.delete(name);
    if (this.credits.has(name)) this.credits.close(name);
    // the step under way belongs to the loop, which stops its job
    for (const queued of queue.filter((each) => each !== this.current)) void stop(queued);
  }

  /** From the next step on. Throws: `config.invalid`. */
  setShares(shares: Iterable<readonly [name: string, share: number]>): void {
    this.credits.setShares(shares);
  }

  /** As kept: see `Credits`. */
  shareOf(name: string): number {
    return this.credits.shareOf(name);
  }

  /** Time that an app had since it was opened, with its predictions. Units: milliseconds. */
  usedMs(name: string): number {
    return this.credits.usedMs(name);
  }

  /** Queues a job behind those of its app; resolves when it has ended, however that was. Throws: `config.invalid` for an app that is not there. */
  submit(name: string, job: SliceJob): Promise<JobEnd> {
    const queue = this.queues.get(name);
    if (!queue) throw new LimberError("config.invalid", `app: one that was opened, got "${name}"`, { name });
    return new Promise((end) => {
      queue.push({ job, end, steps: 0, usedMs: 0 });
      this.credits.setReady(name, true);
      void this.run();
    });
  }

  /** Does what cannot wait, at once, and charges its time. Rejects as the work does. */
  async serve<T>(name: string, work: () => Promise<T>): Promise<T> {
    const start = this.clock.now();
    const result = work();
    const settled = result.catch(() => undefined);
    this.serving.add(settled);
    try {
      return await result;
    } finally {
      this.serving.delete(settled);
      if (this.credits.has(name)) this.credits.charge(name, this.clock.now() - start);
    }
  }

  private async run(): Promise<void> {
    if (this.isRunning) return;
    this.isRunning = true;
    await Promise.resolve(); // all jobs of one turn of the caller compete from the first step on
    for (let name = this.credits.next(); name !== undefined; name = this.credits.next()) {
      if (this.signal?.aborted) await this.stopAll();
      else await this.step(name);
    }
    this.isRunning = false;
  }

  private async step(name: string): Promise<void> {
    const queue = this.queues.get(name)!;
    const queued = (this.current = queue[0]!);
    const isThere = (): boolean => this.queues.get(name) === queue;
    await Promise.all(this.serving);
    const start = this.clock.now();
    if (!isThere()) return stop(queued);
    const result = await nextOf(queued.job);
    const tookMs = this.clock.now() - start;
    this.current = undefined;
    queued.usedMs += tookMs;
    if (result === "more") queued.steps += 1;
    if (!isThere()) return stop(queued);
    this.credits.charge(name, tookMs);
    if (result === "more") return;
    queue.shift();
    if (queue.length === 0) this.credits.setReady(name, false);
    const { steps, usedMs } = queued;
    if (result === "done") queued.end({ outcome: "done", steps, usedMs });
    else queued.end({ outcome: "failed", steps, usedMs, error: result });
  }

  private async stopAll(): Promise<void> {
    for (const [name, queue] of this.queues) {
      this.credits.setReady(name, false);
      for (const queued of queue.splice(0)) await stop(queued);
    }
  }
}

async function nextOf(job: SliceJob): Promise<"more" | "done" | LimberError> {
  try {
    return (await job.next()).done ? "done" : "more";
  } catch (cause) {
    if (isLimberError(cause)) return cause;
    const message = `job: steps that succeed, got "${cause instanceof Error ? cause.message : String(cause)}"`;
    return new LimberError("run.failed", message, {}, { cause });
  }
}

/** A job that ends badly as it is stopped has been stopped all the same. */
async function stop({ job, end, steps, usedMs }: QueuedJob): Promise<void> {
  await job.return?.().catch(() => undefined);
  end({ outcome: "stopped", steps, usedMs });
}
