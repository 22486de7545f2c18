import type { Trial, TrialRequest } from "../app.js";
import { costOf } from "../objective.js";
import type { Plan, Planner, PlanRequest } from "../plan.js";

/** The request after the trials that a planner wants: they show what the estimates say, and their time is gone. */
export function withTrials(planner: Planner, request: PlanRequest): PlanRequest {
  const asked = planner.trials?.(request) ?? [];
  let { windowMs } = request.device;
  const apps = request.apps.map((app) => {
    const trials = asked.filter((trial) => trial.app === app.name);
    for (const { level, steps } of trials) windowMs -= costOf({ ...app, frames: 0 }, level, steps);
    const see = (trial: TrialRequest): Trial => ({
      ...{ ...trial, before: app.estimate(trial.level, 0), after: app.estimate(trial.level, trial.steps) },
    });
    return { ...app, trials: trials.map(see) };
  });
  return { ...request, device: { ...request.device, windowMs }, apps };
}

/** What is wrong with a plan by a count of its own; nothing where it keeps every limit. */
export function brokenLimits(plan: Plan, { device, apps }: PlanRequest): readonly string[] {
  const broken: string[] = [];
  const most = 1 + 1e-9;
  const check = (rule: string, isKept: boolean): void => {
    if (!isKept) broken.push(rule);
  };
  let [ms, bytes, share] = [0, 0, 0];
  for (const [index, { level, steps, shed, share: own, costMs }] of plan.allocations.entries()) {
    const app = apps[index]!;
    if (plan.refused.includes(app.name)) continue;
    const cost = costOf(app, level, steps, shed);
    const { inferMs, memoryBytes } = app.levels[level]!;
    ms += cost;
    bytes += memoryBytes;
    share += own;
    check(`${app.name}: cost`, Math.abs(cost - costMs) <= 1e-9 * device.windowMs);
    check(`${app.name}: share below cost`, cost <= own * device.windowMs * most);
    check(`${app.name}: steps`, Number.isInteger(steps) && steps >= 0 && steps <= app.maxSteps);
    check(`${app.name}: shed`, shed >= 0 && shed <= app.frames);
    check(`${app.name}: deadline`, shed === app.frames || inferMs <= (app.deadlineMs ?? Infinity) * own * most);
  }
  check("window", ms <= device.windowMs * most && plan.costMs <= device.windowMs * most);
  check("memory", bytes <= device.memoryBytes && plan.memoryBytes === bytes);
  check("shares", share <= most);
  const refused = new Set(plan.refused);
  for (const { app, steps } of plan.turns ? plan.allocations.filter(({ app }) => !refused.has(app)) : []) {
    const own = plan.turns!.filter((turn) => turn.app === app);
    check(
      `${app}: turns`,
      own.reduce((sum, turn) => sum + turn.steps, 0) === steps && own.every((turn) => turn.steps >= 0),
    );
  }
  for (const [index, { app, level }] of plan.allocations.entries())
    if (plan.turns && level !== apps[index]!.level && !refused.has(app))
      check(
        `${app}: a turn to make its level`,
        plan.turns.some((turn) => turn.app === app),
      );
  const isServed = plan.refused.length === 0 && plan.allocations.every(({ shed }) => shed === 0);
  const floor = Math.min(device.floorShare ?? 0, 1 / apps.length) / most;
  const isFull = share > 1 - 1e-6;
  check("floor", !isServed || isFull || plan.allocations.every(({ share: own }) => own >= floor));
  return broken;
}
