import type { Clock } from "./clock.js";

/** A clock on which time passes only while everything waits for it. `run` turns it until the work is done. */
export class VirtualClock implements Clock {
  private time = 0;
  private readonly sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): number {
    return this.time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener("abort", wake);
        this.sleepers.delete(sleeper);
        resolve();
      };
      const sleeper = { at: this.time + Math.max(0, ms), wake };
      this.sleepers.add(sleeper);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }

  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    void work.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone) return work;
      if (this.sleepers.size === 0) throw new Error("the work waits for what never comes");
      const first = [...this.sleepers].reduce((a, b) => (b.at < a.at ? b : a));
      this.time = first.at;
      first.wake();
    }
  }
}
