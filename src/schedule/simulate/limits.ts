import type { AppState } from "../app.js";
import type { Allocation, Plan, PlanRequest } from "../plan.js";

/** Relative, for sums in another order. */
const ROUNDING = 1e-9;

/** Device time that an allocation takes, counted without the planner's word for it. Units: milliseconds. */
export function costMsOf({ level: serving, levels, frames }: AppState, { level, steps, shed }: Allocation): number {
  const { makeMs, stepMs, inferMs } = levels[level]!;
  return (level === serving ? 0 : makeMs) + steps * stepMs + Math.max(0, frames - shed) * inferMs;
}

/** Whether a plan keeps within time, memory and shares by an independent count. */
export function isWithinLimits(plan: Plan, { device, apps }: PlanRequest): boolean {
  const byName = new Map(apps.map((app) => [app.name, app]));
  const refused = new Set(plan.refused);
  let [costMs, memoryBytes, share] = [0, 0, 0];
  for (const allocation of plan.allocations) {
    const app = byName.get(allocation.app);
    if (!app || !app.levels[allocation.level] || !(allocation.steps >= 0) || !(allocation.share >= 0)) return false;
    share += allocation.share;
    if (refused.has(allocation.app)) continue;
    costMs += costMsOf(app, allocation);
    memoryBytes += app.levels[allocation.level]!.memoryBytes;
  }
  return costMs <= device.windowMs * (1 + ROUNDING) && memoryBytes <= device.memoryBytes && share <= 1 + ROUNDING;
}
