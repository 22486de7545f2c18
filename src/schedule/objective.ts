import type { AppState } from "./app.js";

/**
 * Device time that an app takes in a window at a level with so many further steps: making the level where another one serves, the steps,
 * and the predictions that are not given up.
 */
export function costOf(app: AppState, level: number, steps: number, shed = 0): number {
  const { makeMs, stepMs, inferMs } = app.levels[level]!;
  return (level === app.level ? 0 : makeMs) + steps * stepMs + (app.frames - shed) * inferMs;
}

/** Device time to keep for an app so that no prediction takes longer than its deadline at its share r: latency inferMs / r ≤ deadlineMs. */
export function deadlineMsOf(app: AppState, level: number, windowMs: number, shed = 0): number {
  const isAsked = app.frames > shed && app.deadlineMs !== undefined;
  return isAsked ? (windowMs * app.levels[level]!.inferMs) / app.deadlineMs : 0;
}

/** Score expected at a level after further steps, in [0, 1]; what is no number tells nothing, and the score known before it stays. */
export function scoreOf(app: AppState, level: number, steps: number, known = 0): number {
  const score = app.estimate(level, steps);
  return Number.isNaN(score) ? known : Math.min(1, Math.max(0, score));
}

/** Share of the window in which a level that still has to be made does not serve. It is made first, with the whole device. */
export function makingShareOf(app: AppState, level: number, windowMs: number): number {
  const makeMs = level === app.level ? 0 : app.levels[level]!.makeMs;
  return makeMs === 0 ? 0 : Math.min(1, makeMs / windowMs);
}

/** Score of what serves until another level is made. */
export const presentScoreOf = (app: AppState): number =>
  app.level === undefined ? (app.present ?? 0) : scoreOf(app, app.level, 0);

/**
 * What all planners are judged by: the mean score of an app over the window,
 *
 *   Ā(l, q) = s/n · ( m · a(l₀, 0) + (1 − m) · ∫₀¹ a(l, u·q) du ),   m = makeMs(l) / windowMs, or 0 for l = l₀
 *
 * where a is the app's estimate, l₀ the level that serves now (`present` if it is none of them), and s of n predictions are served: one that is given up
 * scores 0. Training that gets its share of the device all the time goes evenly through the window; that is the integral. It is taken by
 * trapezoids over quanta, so that the sums for q steps are those for q - quantum and one more term.
 * Differs: the specification lets the training end before the window does and the result serve for the rest; at shares of cost / windowMs
 * training takes all of it.
 */
export function windowScore(app: AppState, level: number, steps: number, windowMs: number, shed = 0): number {
  const making = makingShareOf(app, level, windowMs);
  const served = app.frames === 0 ? 1 : (app.frames - shed) / app.frames;
  return served * (making * presentScoreOf(app) + (1 - making) * meanWhileTraining(app, level, steps));
}

function meanWhileTraining(app: AppState, level: number, steps: number): number {
  let score = scoreOf(app, level, 0);
  if (steps === 0) return score;
  let area = 0;
  for (let at = 0; at < steps;) {
    const next = Math.min(at + app.quantum, steps);
    const reached = scoreOf(app, level, next, score);
    area += ((score + reached) / 2) * (next - at);
    [at, score] = [next, reached];
  }
  return area / steps;
}
