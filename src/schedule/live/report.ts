import type { AppRow, DeviceTime, WindowApp } from "../simulate/report.js";
import type { Latency } from "./latency.js";

/** Frames that got no answer. */
interface Unanswered {
  /** Older than a period when their turn came. */
  readonly framesDropped: number;
  /** Given up by the plan. */
  readonly framesShed: number;
  /** There was no model, or it failed. */
  readonly framesFailed: number;
}

/** As simulated apps have, and what only a real one has. Nothing for scores where no frame had its truth. */
export interface LiveWindowApp extends Omit<WindowApp, "score" | "level">, Unanswered {
  readonly score: number | undefined;
  readonly level: number | undefined;
  /** The score that it was thought to have, without labels, when it was last looked at. */
  readonly estimated: number | undefined;
  readonly latency: Latency;
}

export interface LiveWindow {
  readonly window: number;
  readonly startMs: number;
  readonly score: number | undefined;
  readonly apps: readonly LiveWindowApp[];
}

export interface LiveAppRow extends Omit<AppRow, "score">, Unanswered {
  readonly score: number | undefined;
  readonly latency: Latency;
  /** Models and steps that failed. */
  readonly failures: number;
}

/** What came of a live run, in the form of a `SimulationReport`. */
export interface LiveReport {
  readonly planner: string;
  readonly seed: number;
  readonly score: number | undefined;
  readonly weightedScore: number | undefined;
  readonly worstScore: number | undefined;
  readonly apps: readonly LiveAppRow[];
  readonly windows: readonly LiveWindow[];
  /** Predictions run beside all else, so that the sum may exceed the time gone by. */
  readonly device: DeviceTime & { readonly observeMs: number };
  readonly elapsedMs: number;
  readonly plans: number;
  readonly overBudget: number;
  readonly trials: number;
  readonly decisionMs: readonly number[];
  /** False where it was stopped. */
  readonly complete: boolean;
}

/** Mean of the scores that are there, each with its weight; nothing where none is. */
export function meanScore<T extends { readonly score: number | undefined }>(
  rows: readonly T[],
  weightOf: (row: T) => number,
): number | undefined {
  const known = rows.filter((row) => row.score !== undefined && weightOf(row) > 0);
  const total = known.reduce((sum, row) => sum + weightOf(row), 0);
  return total > 0 ? known.reduce((sum, row) => sum + row.score! * weightOf(row), 0) / total : undefined;
}
