import type { SimulatedApp } from "./simulated-app.js";

/**
 * Predictions of all apps between two moments. An app's go on at the same rate until it serves another model, and are counted then and at the end.
 * Cost: the work of one app for a swap, so that thousands of turns do not take the square of it.
 */
export class Predictions {
  /** Share of the device that all of them ask for; more than 1 where they do not fit. */
  askedShare: number;
  private passedMs = 0;
  /** The same, each time by the part of the predictions that is answered. */
  private servedMs = 0;
  private readonly counted = new Map<SimulatedApp, { readonly passedMs: number; readonly servedMs: number }>();

  constructor(private readonly apps: readonly SimulatedApp[]) {
    this.askedShare = apps.reduce((sum, app) => sum + app.predictMsIn(1), 0);
  }

  /** Time goes by, in which the device has so much time for predictions; gives what they take of it. */
  pass(intervalMs: number, leftMs: number): number {
    const askedMs = this.askedShare * intervalMs;
    const served = askedMs > 0 ? Math.min(1, leftMs / askedMs) : 1;
    this.passedMs += intervalMs;
    this.servedMs += intervalMs * served;
    return askedMs * served;
  }

  /** From now on an app serves what it trained. */
  swap(app: SimulatedApp): void {
    this.count(app);
    this.askedShare -= app.predictMsIn(1);
    app.swap();
    this.askedShare += app.predictMsIn(1);
  }

  end(): void {
    for (const app of this.apps) this.count(app);
  }

  private count(app: SimulatedApp): void {
    const { passedMs, servedMs } = this;
    const before = this.counted.get(app) ?? { passedMs: 0, servedMs: 0 };
    const ownMs = passedMs - before.passedMs;
    if (ownMs > 0) app.predict(ownMs, Math.min(1, (servedMs - before.servedMs) / ownMs));
    this.counted.set(app, { passedMs, servedMs });
  }
}
