import { LimberError } from "../../base/index.js";
import type { PlanCause } from "./report.js";
import { endOf, type Scenario } from "./scenario.js";

/** Something that happens to one app. */
export type Change =
  | { readonly what: "arrival" | "departure"; readonly app: string }
  | { readonly what: "drift"; readonly app: string; readonly drift: string }
  | { readonly what: "burst"; readonly app: string; readonly factor: number };

/** A time at which something changes or is looked at; between two moments all goes on at the same rates. */
export interface Moment {
  readonly atMs: number;
  readonly window: number;
  /** Of the clock: a window or a micro-window starts. */
  readonly clock: Extract<PlanCause, "window" | "micro-window"> | undefined;
  readonly changes: readonly Change[];
}

const ORDER = ["departure", "drift", "burst", "arrival"] as const satisfies readonly Change["what"][];

/** All moments of a scenario in order, the first at 0. Throws: `config.invalid` for a scenario that is not one. */
export function timelineOf(scenario: Scenario): readonly Moment[] {
  const { device, windows } = scenario;
  const endMs = endOf(scenario);
  const changes = changesOf(scenario);
  const clock = new Map<number, "window" | "micro-window">();
  for (let micro = 0; micro < windows * device.microWindows; micro++) {
    const atMs = (micro / device.microWindows) * device.windowMs;
    clock.set(atMs, micro % device.microWindows === 0 ? "window" : "micro-window");
  }
  const times = [...new Set([...clock.keys(), ...changes.keys()])].filter((atMs) => atMs < endMs);
  return times
    .sort((a, b) => a - b)
    .map((atMs) => ({
      atMs,
      window: Math.floor(atMs / device.windowMs),
      clock: clock.get(atMs),
      changes: (changes.get(atMs) ?? []).toSorted((a, b) => ORDER.indexOf(a.what) - ORDER.indexOf(b.what)),
    }));
}

function changesOf({ apps, drifts, bursts, ...scenario }: Scenario): ReadonlyMap<number, readonly Change[]> {
  const known = new Set(apps.map(({ name }) => name));
  const changes = new Map<number, Change[]>();
  const add = (atMs: number, change: Change): void => {
    if (!known.has(change.app) || !(atMs >= 0)) {
      const message = `scenario "${scenario.name}": its own apps at times from 0 on, got "${change.app}" at ${atMs}; mend the ${change.what}`;
      throw new LimberError("config.invalid", message, { app: change.app, atMs });
    }
    const own = changes.get(atMs);
    if (own) own.push(change);
    else changes.set(atMs, [change]);
  };
  for (const { name, arriveMs, departMs } of apps) {
    add(arriveMs, { what: "arrival", app: name });
    if (departMs !== undefined) add(departMs, { what: "departure", app: name });
  }
  for (const { atMs, apps, drift } of drifts) for (const app of apps) add(atMs, { what: "drift", app, drift });
  for (const { atMs, untilMs, apps, factor } of bursts) {
    for (const app of apps) {
      add(atMs, { what: "burst", app, factor });
      add(untilMs, { what: "burst", app, factor: 1 });
    }
  }
  return changes;
}
