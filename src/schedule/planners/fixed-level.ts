import type { AppState } from "../app.js";
import { costOf } from "../objective.js";
import type { Plan, PlanRequest } from "../plan.js";
import { checkRequest } from "./check-request.js";
import { buildPlan, type Draft, type LevelChoice, reservedMs, serve, type Service } from "./service.js";

const BISECTIONS = 50;

/**
 * The one level of planners that do not choose any: the same place in the ladder for all apps, the largest at which their predictions together
 * take at most half of the device and their models fit its memory; the smallest where none does.
 */
export function fixedLevel({ device, apps }: PlanRequest): LevelChoice {
  const longest = Math.max(1, ...apps.map(({ levels }) => levels.length));
  const placeOf = ({ levels }: AppState, step: number): number =>
    longest === 1 ? 0 : Math.floor((step * (levels.length - 1)) / (longest - 1));
  const sum = (step: number, of: (app: AppState, level: number) => number): number =>
    apps.reduce((total, app) => total + of(app, placeOf(app, step)), 0);
  const fits = (step: number): boolean =>
    sum(step, ({ frames, levels }, level) => frames * levels[level]!.inferMs) <= device.windowMs / 2 &&
    sum(step, ({ levels }, level) => levels[level]!.memoryBytes) <= device.memoryBytes;
  let step = longest - 1;
  while (step > 0 && !fits(step)) step--;
  return (app) => [placeOf(app, step)];
}

/**
 * Plan that gives what predictions leave of the device to training, in parts proportional to weights; what an app cannot use goes to the others
 * in the same way, and none gets less than the floor leaves it.
 */
export function planByWeights(name: string, request: PlanRequest, weightOf: (app: AppState) => number): Plan {
  checkRequest(request);
  const service = serve(request, fixedLevel(request));
  const parts = service.drafts.filter(({ isRefused }) => !isRefused).map((draft) => partOf(service, draft, weightOf));
  const totalMs = service.leftMs + parts.reduce((sum, { freeMs }) => sum + freeMs, 0);
  const rate = largestRate(parts, totalMs);
  for (const part of parts) part.draft.steps = stepsWithin(part, msAt(part, rate));
  return buildPlan(name, request, service);
}

/** What an app may get for training: at least what the floor leaves it, at most what it can use. */
interface Part {
  readonly draft: Draft;
  readonly weight: number;
  readonly freeMs: number;
  readonly mostMs: number;
}

function partOf(service: Service, draft: Draft, weightOf: (app: AppState) => number): Part {
  const { app, level } = draft;
  const freeMs = reservedMs(service, draft) - costOf(app, level, 0, draft.shed);
  return { draft, weight: weightOf(app), freeMs, mostMs: app.maxSteps * app.levels[level]!.stepMs };
}

const msAt = ({ weight, freeMs, mostMs }: Part, rate: number): number =>
  Math.max(freeMs, Math.min(mostMs, rate * weight));

/** Time per weight at which all parts together take the total. */
function largestRate(parts: readonly Part[], totalMs: number): number {
  let [fits, high] = [0, Math.max(0, ...parts.map(({ weight, mostMs }) => mostMs / weight))];
  for (let turn = 0; turn < BISECTIONS; turn++) {
    const rate = (fits + high) / 2;
    if (parts.reduce((sum, part) => sum + msAt(part, rate), 0) <= totalMs) fits = rate;
    else high = rate;
  }
  return fits;
}

const stepsWithin = ({ draft: { app, level } }: Part, ms: number): number => {
  const { stepMs } = app.levels[level]!;
  return stepMs === 0 ? app.maxSteps : Math.min(app.maxSteps, Math.floor(ms / stepMs));
};
