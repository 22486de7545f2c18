import { setTimeout as pause } from "node:timers/promises";

/** Tells the time and waits; tests give one whose time is virtual. Units: milliseconds. */
export interface Clock {
  now(): number;
  /** Resolves after that time, or as soon as the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => pause(ms, undefined, { signal }).catch(() => undefined),
};
