import type { Plan } from "../plan.js";

/** Why a plan was made. */
export const PLAN_CAUSES = ["window", "micro-window", "arrival", "departure", "drift", "burst", "look"] as const;
export type PlanCause = (typeof PLAN_CAUSES)[number];

/** A plan as it was made: one line of the log of all decisions. */
export interface PlanEntry {
  readonly atMs: number;
  readonly window: number;
  readonly causes: readonly PlanCause[];
  /** Time that the planner took, on the machine that simulates; the only figures of a simulation that differ from run to run. */
  readonly decisionMs: number;
  /** Broke a limit by the simulator's own count. */
  readonly isOverBudget: boolean;
  readonly plan: Plan;
}

/** How one app fared in one window. */
export interface WindowApp {
  readonly app: string;
  readonly presentMs: number;
  /** Mean over the app's time in the window; a frame that got no prediction counts 0. */
  readonly score: number;
  /** Share of the device that it was given, and that it used: means over its time. */
  readonly share: number;
  readonly usedShare: number;
  /** What serves at the end: place in the ladder, and steps trained in the present drift. */
  readonly level: number;
  readonly steps: number;
}

export interface WindowRow {
  readonly window: number;
  readonly startMs: number;
  /** Over the apps, each by its time in the window. */
  readonly score: number;
  /** Those that were there. */
  readonly apps: readonly WindowApp[];
}

export interface AppRow {
  readonly app: string;
  readonly kind: string;
  readonly weight: number;
  /** Mean over its time on the device. */
  readonly score: number;
  readonly presentMs: number;
  readonly framesAsked: number;
  readonly framesServed: number;
  /** Served, but too slowly at the app's share. */
  readonly framesLate: number;
  readonly steps: number;
  /** Models made for it. */
  readonly remodels: number;
}

/** Where the device's time went. Units: milliseconds. */
export interface DeviceTime {
  readonly predictMs: number;
  readonly makeMs: number;
  readonly trainMs: number;
  readonly trialMs: number;
  readonly idleMs: number;
}

export interface SimulationReport {
  readonly scenario: string;
  readonly planner: string;
  readonly seed: number;
  /** Mean over the apps, each with the time that it was there; plain, and by weight. */
  readonly score: number;
  readonly weightedScore: number;
  /** Of the app that fared worst. */
  readonly worstScore: number;
  readonly apps: readonly AppRow[];
  readonly windows: readonly WindowRow[];
  readonly device: DeviceTime;
  readonly plans: number;
  /** Plans that broke a limit; has to be 0. */
  readonly overBudget: number;
  readonly trials: number;
  /** One for each plan. */
  readonly decisionMs: readonly number[];
  /** False where it was stopped. */
  readonly complete: boolean;
}
