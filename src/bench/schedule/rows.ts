import { z } from "zod";

/** What a planner is: `ours` is the filter-grained one; a `baseline` decides otherwise; an `ablation` is ours without a part. */
export const PLANNER_KINDS = ["ours", "baseline", "ablation"] as const;

const share = z.number().min(0).max(1);
const count = z.int().min(0);
const time = z.number().min(0);

/** One planner through one scenario, in the simulator or in real time. */
export const scheduleRow = z.strictObject({
  /** Stands for traces or models, data and options: rows of the same run can be compared. */
  run: z.string(),
  mode: z.literal(["simulated", "real"]),
  /** Family of scenarios in the simulator; data set or world in real time. */
  scenario: z.string(),
  apps: count,
  windows: count,
  planner: z.string(),
  kind: z.literal(PLANNER_KINDS),
  seed: count,
  /** Mean over the apps and their time, plain and by weight; and of the app that fared worst. */
  score: share,
  weightedScore: share,
  worstScore: share,
  framesAsked: z.number().min(0),
  framesServed: z.number().min(0),
  /** Served later than their deadline. */
  framesLate: z.number().min(0),
  /** Share of the device's time that was used, and of it what trained, models being made and trials included. */
  busyShare: share,
  trainingShare: share,
  /** Steps trained, and models made, over all apps. */
  steps: z.number().min(0),
  remodels: count,
  plans: count,
  /** Plans that broke a limit. */
  overBudget: count,
  /** Of the planner, for one plan. Units: milliseconds of the machine that measured. */
  decisionMs: z.strictObject({ median: time, max: time }),
  seconds: time,
});
export type ScheduleRow = Readonly<z.output<typeof scheduleRow>>;

/** Time of decisions against the number of apps. */
export const growthRow = z.strictObject({
  planner: z.string(),
  apps: count,
  plans: count,
  decisionMs: z.strictObject({ median: time, max: time }),
  /** Of the whole simulation. */
  seconds: time,
});
export type GrowthRow = Readonly<z.output<typeof growthRow>>;

/** A row as a line of a table. */
export const flattenSchedule = ({ decisionMs, ...row }: ScheduleRow): Record<string, string | number> => ({
  ...row,
  decisionMsMedian: decisionMs.median,
  decisionMsMax: decisionMs.max,
});
