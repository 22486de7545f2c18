import { costOf, deadlineMsOf, windowScore } from "../objective.js";
import type { Plan, Planner, PlanRequest } from "../plan.js";

/** What plans are judged by: Σ weight · mean score, as the objective says and whatever the planner believed. */
export const worthOf = ({ allocations, refused, windowMs }: Plan, { apps }: PlanRequest): number =>
  allocations.reduce((sum, { app: name, level, steps, shed }, index) => {
    const app = apps[index]!;
    return refused.includes(name) ? sum : sum + app.weight * windowScore(app, level, steps, windowMs, shed);
  }, 0);

/** The most that any plan with every prediction served is worth: every level and number of quanta of every app. */
export function bruteForce({ device, apps }: PlanRequest): number {
  const floorMs = device.windowMs * Math.min(device.floorShare ?? 0, 1 / apps.length);
  const options = apps.map((app) =>
    app.levels.flatMap(({ memoryBytes }, level) =>
      Array.from({ length: app.maxSteps / app.quantum + 1 }, (_, k) => {
        const deadlineMs = deadlineMsOf(app, level, device.windowMs);
        const ms = Math.max(floorMs, deadlineMs, costOf(app, level, k * app.quantum));
        return { ms, memoryBytes, worth: app.weight * windowScore(app, level, k * app.quantum, device.windowMs) };
      }),
    ),
  );
  let most = -Infinity;
  const visit = (index: number, ms: number, bytes: number, worth: number): void => {
    if (ms > device.windowMs || bytes > device.memoryBytes) return;
    if (index === apps.length) most = Math.max(most, worth);
    else
      for (const each of options[index]!) visit(index + 1, ms + each.ms, bytes + each.memoryBytes, worth + each.worth);
  };
  visit(0, 0, 0, 0);
  return most;
}

/** Share of the most that any plan is worth, which a planner's plan reaches; nothing where no plan serves every prediction. */
export function shareOfOptimum(planner: Planner, request: PlanRequest): number | undefined {
  const most = bruteForce(request);
  return most === -Infinity ? undefined : worthOf(planner.plan(request), request) / most;
}
