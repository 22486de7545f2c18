import type { PlanEntry, Scenario } from "../../schedule/index.js";
import type { ShareSeries } from "../../demo/index.js";

/** The shares of a run from its log, with what happened in its scenario. */
export function shareSeriesOf(title: string, scenario: Scenario, log: readonly PlanEntry[]): ShareSeries {
  const apps = scenario.apps.map(({ name }) => name);
  const drifts = scenario.drifts.map(({ atMs, apps: those, drift }) => ({
    atMs,
    name: `${those.join(", ")}: ${drift}`,
  }));
  const moves = scenario.apps.flatMap(({ name, arriveMs, departMs }) => [
    { atMs: arriveMs, name: `${name} comes` },
    ...(departMs === undefined ? [] : [{ atMs: departMs, name: `${name} leaves` }]),
  ]);
  return {
    ...{ title, apps, endMs: scenario.windows * scenario.device.windowMs },
    points: log.map(({ atMs, plan }) => {
      const shares = new Map(plan.allocations.map(({ app, share }) => [app, share]));
      return { atMs, shares: apps.map((app) => shares.get(app) ?? 0) };
    }),
    events: [...drifts, ...moves].filter(({ atMs }) => atMs > 0),
  };
}
