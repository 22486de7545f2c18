import type { AppState } from "../app.js";
import { costOf, deadlineMsOf, windowScore } from "../objective.js";
import type { Allocation, Decision, Plan, PlanRequest } from "../plan.js";

/** An app's part of a plan that is being made. */
export interface Draft {
  readonly app: AppState;
  level: number;
  steps: number;
  shed: number;
  isRefused: boolean;
  readonly why: Decision[];
}

/** What every plan starts from: each app served at a level, and what of the device is left then. */
export interface Service {
  readonly drafts: readonly Draft[];
  /** What a plan may give away: the window, less what rounding could add. */
  readonly windowMs: number;
  /** Kept for each app that is served, so that its share does not fall below the floor. */
  readonly floorMs: number;
  leftMs: number;
  leftBytes: number;
}

/** Relative: sums of thousands of times stay within the window, and shares reach what deadlines need. */
const ROUNDING = 1e-9;
const FLOOR_SHARE = 0.05;
const BISECTIONS = 30;

/** Levels that a planner lets an app have. */
export type LevelChoice = (app: AppState, index: number) => readonly number[];
export const everyLevel: LevelChoice = ({ levels }) => (PLACES[levels.length] ??= [...levels.keys()]);
/** By number of levels: a decision for thousands of apps asks thousands of times. */
const PLACES: (readonly number[])[] = [];

/** Time kept for an app at a level: what it costs, and what its deadline needs. */
export const neededMs = ({ app, shed }: Draft, level: number, steps: number, windowMs: number): number =>
  Math.max(costOf(app, level, steps, shed), deadlineMsOf(app, level, windowMs * (1 + 3 * ROUNDING), shed));

/** The same, and at least the floor. Making, training and predictions within it cost nobody else anything. */
export const reservedMs = (service: Service, draft: Draft, level = draft.level, steps = draft.steps): number =>
  Math.max(service.floorMs, neededMs(draft, level, steps, service.windowMs));

/**
 * The least that every app gets: its predictions, at the level that is cheapest for the window, be it the one that serves or a smaller one.
 * Where that does not fit: first the floor is lowered; then predictions of the least weighted apps are given up, in equal parts among those
 * of one weight; an app for which no model fits, in memory or in time, is refused, the least weighted first.
 */
export function minimumService(request: PlanRequest, levelsOf: LevelChoice = everyLevel): Service {
  const windowMs = request.device.windowMs * (1 - ROUNDING);
  const drafts = request.apps.map((app, index): Draft => {
    const draft = { app, level: 0, steps: 0, shed: 0, isRefused: false, why: [] };
    return { ...draft, level: leastOf(levelsOf(app, index), (level) => neededMs(draft, level, 0, windowMs)) };
  });
  const rising = drafts.toReversed().sort((a, b) => a.app.weight - b.app.weight);
  fitMemory(drafts, rising, request, levelsOf);
  fitWindow(rising, windowMs);
  const served = drafts.filter(({ isRefused }) => !isRefused);
  const needs = served.map((draft) => neededMs(draft, draft.level, 0, windowMs));
  const floorShare = request.device.floorShare ?? Math.min(FLOOR_SHARE, 0.5 / served.length);
  const floorMs = fitFloor(needs, windowMs, floorShare * windowMs);
  const leftMs = windowMs - needs.reduce((sum, need) => sum + Math.max(need, floorMs), 0);
  return { drafts, windowMs, floorMs, leftMs: Math.max(0, leftMs), leftBytes: leftBytes(drafts, request) };
}

/** The least service with these levels; with any level, where these mean that something is given up. */
export function serve(request: PlanRequest, levelsOf: LevelChoice): Service {
  const service = minimumService(request, levelsOf);
  return service.drafts.some(({ shed, isRefused }) => isRefused || shed > 0) ? minimumService(request) : service;
}

function leastOf(levels: readonly number[], sizeOf: (level: number) => number): number {
  let [best, least] = [levels[0]!, Infinity];
  for (const level of levels) {
    const size = sizeOf(level);
    if (size < least) [best, least] = [level, size];
  }
  return best;
}

const bytesOf = ({ app, level, isRefused }: Draft): number => (isRefused ? 0 : app.levels[level]!.memoryBytes);

const leftBytes = (drafts: readonly Draft[], { device }: PlanRequest): number =>
  device.memoryBytes - drafts.reduce((sum, draft) => sum + bytesOf(draft), 0);

/** Smaller models where the largest saving is, then without the least weighted apps. */
function fitMemory(
  drafts: readonly Draft[],
  rising: readonly Draft[],
  request: PlanRequest,
  levelsOf: LevelChoice,
): void {
  let left = leftBytes(drafts, request);
  if (left >= 0) return;
  const smallest = drafts.map(({ app }, index) =>
    leastOf(levelsOf(app, index), (level) => app.levels[level]!.memoryBytes),
  );
  const savings = drafts.map((draft, index) => bytesOf(draft) - draft.app.levels[smallest[index]!]!.memoryBytes);
  for (const index of [...drafts.keys()].sort((a, b) => savings[b]! - savings[a]! || a - b)) {
    if (left >= 0) return;
    drafts[index]!.level = smallest[index]!;
    left += savings[index]!;
  }
  for (const draft of rising) {
    if (left >= 0) return;
    left += bytesOf(draft);
    refuse(draft);
  }
}

function refuse(draft: Draft): void {
  draft.isRefused = true;
  draft.shed = draft.app.frames;
}

/** Gives predictions up, weight by weight from the least, until the others fit. */
function fitWindow(rising: readonly Draft[], windowMs: number): void {
  const needOf = (draft: Draft): number => (draft.isRefused ? 0 : neededMs(draft, draft.level, 0, windowMs));
  let excess = rising.reduce((sum, draft) => sum + needOf(draft), -windowMs);
  for (let start = 0; start < rising.length && excess > 0;) {
    const { weight } = rising[start]!.app;
    let end = start;
    while (rising[end]?.app.weight === weight) end++;
    const group = rising.slice(start, end).filter(({ isRefused }) => !isRefused);
    const wanted = group.reduce((sum, draft) => sum + needOf(draft), 0);
    shedTo(group, Math.max(0, wanted - excess), windowMs);
    excess -= wanted - group.reduce((sum, draft) => sum + needOf(draft), 0);
    start = end;
  }
}

/** Predictions that an app gives up when it serves a part of them, and one at least. */
const shedAt = ({ frames }: AppState, part: number): number =>
  frames - Math.max(Math.min(1, frames), Math.floor(part * frames));

/** Lets apps of one weight serve the largest equal part of their predictions that fits; those that cannot be served at all are refused. */
function shedTo(group: readonly Draft[], budgetMs: number, windowMs: number): void {
  const msAt = (draft: Draft, part: number): number =>
    neededMs({ ...draft, shed: shedAt(draft.app, part) }, draft.level, 0, windowMs);
  const served = [...group];
  let least = served.reduce((sum, draft) => sum + msAt(draft, 0), 0);
  while (served.length > 0 && least > budgetMs) {
    const dropped = served.shift()!;
    least -= msAt(dropped, 0);
    refuse(dropped);
  }
  let [fits, high] = [0, 1];
  for (let turn = 0; turn < BISECTIONS; turn++) {
    const part = (fits + high) / 2;
    if (served.reduce((sum, draft) => sum + msAt(draft, part), 0) <= budgetMs) fits = part;
    else high = part;
  }
  for (const draft of served) draft.shed = shedAt(draft.app, fits);
}

/** The largest floor up to the one that is wanted, with which everything fits: Σ max(need, floor) ≤ window. */
function fitFloor(needs: readonly number[], windowMs: number, wantedMs: number): number {
  let rest = windowMs;
  for (const [index, need] of needs.toSorted((a, b) => b - a).entries()) {
    const floor = Math.min(wantedMs, Math.max(0, rest / (needs.length - index)) * (1 - ROUNDING));
    if (need <= floor) return floor;
    rest -= need;
  }
  return 0;
}

/** The plan of finished drafts. */
export function buildPlan(planner: string, request: PlanRequest, service: Service): Plan {
  const { windowMs } = request.device;
  const allocations = service.drafts.map((draft): Allocation => {
    const { app, level, steps, shed, why } = draft;
    if (draft.isRefused) return { app: app.name, level, steps: 0, share: 0, shed, costMs: 0, expected: 0, why };
    const share = windowMs === 0 ? 0 : reservedMs(service, draft) / windowMs;
    const costMs = costOf(app, level, steps, shed);
    return {
      app: app.name,
      level,
      steps,
      share,
      shed,
      costMs,
      expected: windowScore(app, level, steps, windowMs, shed),
      why,
    };
  });
  return {
    ...{ planner, windowMs, allocations },
    costMs: allocations.reduce((sum, { costMs }) => sum + costMs, 0),
    memoryBytes: service.drafts.reduce((sum, draft) => sum + bytesOf(draft), 0),
    refused: service.drafts.filter(({ isRefused }) => isRefused).map(({ app }) => app.name),
  };
}
