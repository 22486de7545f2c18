import { median } from "../../base/index.js";
import { type Baseline, BASELINES, OURS } from "./planners.js";
import type { GrowthRow, ScheduleRow } from "./rows.js";

/** How a planner fared in a scenario, over the seeds: scores by weight. */
export interface PlannerFigures {
  readonly planner: string;
  readonly kind: ScheduleRow["kind"];
  readonly score: number;
  readonly lowest: number;
  readonly highest: number;
  /** Means. */
  readonly worstScore: number;
  readonly servedShare: number;
  readonly trainingShare: number;
  readonly steps: number;
  readonly remodels: number;
}

/** One scenario with so many apps, and who does best there. */
export interface ScheduleCell {
  readonly mode: ScheduleRow["mode"];
  readonly scenario: string;
  readonly apps: number;
  readonly seeds: number;
  readonly planners: readonly PlannerFigures[];
  /** Our score less each baseline's, mean over the seeds. Units: points. */
  readonly gainPoints: Readonly<Record<Baseline, number | null>>;
  /** The least of these. */
  readonly leastGain: number | null;
}

export interface ScheduleHeadline {
  /** Means over the scenarios. Paper: 25.91 above schedulers of models of one size. */
  readonly gainPoints: Readonly<Record<Baseline, number | null>>;
  /** Plans that broke a limit, of all planners. */
  readonly overBudget: number;
  /** Medians of our planner. */
  readonly decisionMs16: number | null;
  readonly decisionMs10000: number | null;
  /** The one where we gain least first. */
  readonly cells: readonly ScheduleCell[];
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanOrNull = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : meanOf(known);
};
const gainsBy = (gainOf: (baseline: Baseline) => number | null): ScheduleHeadline["gainPoints"] =>
  Object.fromEntries(BASELINES.map((baseline) => [baseline, gainOf(baseline)])) as Record<Baseline, number | null>;

/** The figures of a bench, scenario by scenario. */
export function scheduleHeadlineOf(rows: readonly ScheduleRow[], growth: readonly GrowthRow[] = []): ScheduleHeadline {
  const keyOf = ({ mode, scenario, apps }: ScheduleRow): string => [mode, scenario, apps].join(" ");
  const cells = [...groupBy(rows, keyOf).values()]
    .map(cellOf)
    .sort((a, b) => (a.leastGain ?? Infinity) - (b.leastGain ?? Infinity));
  const decisionMs = (apps: number): number | null =>
    growth.find((row) => row.planner === OURS && row.apps === apps)?.decisionMs.median ?? null;
  return {
    gainPoints: gainsBy((baseline) => meanOrNull(cells.map(({ gainPoints }) => gainPoints[baseline]))),
    overBudget: rows.reduce((sum, { overBudget }) => sum + overBudget, 0),
    ...{ decisionMs16: decisionMs(16), decisionMs10000: decisionMs(10_000), cells },
  };
}

function cellOf(rows: readonly ScheduleRow[]): ScheduleCell {
  const { mode, scenario, apps } = rows[0]!;
  const byPlanner = groupBy(rows, ({ planner }) => planner);
  const scoreOf = (planner: string, seed: number): number | undefined =>
    byPlanner.get(planner)?.find((row) => row.seed === seed)?.weightedScore;
  // seeds differ far more than planners do: gains are of one and the same seed
  const gainPoints = gainsBy((baseline) =>
    meanOrNull(
      (byPlanner.get(OURS) ?? []).map(({ seed, weightedScore }) => {
        const other = scoreOf(baseline, seed);
        return other === undefined ? null : 100 * (weightedScore - other);
      }),
    ),
  );
  const gains = Object.values(gainPoints).filter((gain) => gain !== null);
  return {
    ...{ mode, scenario, apps, gainPoints },
    seeds: new Set(rows.map(({ seed }) => seed)).size,
    planners: [...byPlanner.values()].map(figuresOf),
    leastGain: gains.length === 0 ? null : Math.min(...gains),
  };
}

function figuresOf(rows: readonly ScheduleRow[]): PlannerFigures {
  const { planner, kind } = rows[0]!;
  const scores = rows.map(({ weightedScore }) => weightedScore);
  const mean = (valueOf: (row: ScheduleRow) => number): number => meanOf(rows.map(valueOf));
  return {
    ...{ planner, kind, score: meanOf(scores), lowest: Math.min(...scores), highest: Math.max(...scores) },
    worstScore: mean(({ worstScore }) => worstScore),
    servedShare: mean(({ framesAsked, framesServed }) => (framesAsked === 0 ? 1 : framesServed / framesAsked)),
    trainingShare: mean(({ trainingShare }) => trainingShare),
    steps: mean(({ steps }) => steps),
    remodels: mean(({ remodels }) => remodels),
  };
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const own = groups.get(keyOf(item));
    if (own) own.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

/** What a list of decision times comes to; zeros of none. */
export const timesOf = (decisionMs: readonly number[]): ScheduleRow["decisionMs"] =>
  decisionMs.length === 0
    ? { median: 0, max: 0 }
    : { median: median(decisionMs), max: decisionMs.reduce((most, ms) => Math.max(most, ms), 0) };
