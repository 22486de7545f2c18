import type { ScoreEstimate } from "../app.js";
import { filterGrained } from "./filter-grained.js";
import { fixedLevel } from "./fixed-level.js";

/** The same greedy choice among the smallest, the middle and the largest level: what whole models of a few sizes allow. */
export const dnnGrained = filterGrained({
  name: "dnnGrained",
  summary: "level of three sizes and training of each app by gain per time",
  ...{ isOrdered: true, inTurns: false },
  levelsOf: () => (app) => [...new Set([0, Math.floor(app.levels.length / 2), app.levels.length - 1])],
});

/** Ablation: knows no app's scores. A larger share of the filters and more steps are taken to help all apps alike; that does not err from plan to plan. */
export const withoutEstimator = filterGrained({
  name: "withoutEstimator",
  summary: "as filterGrained, with the same curve assumed for all apps",
  view: (app) => ({ ...app, estimate: priorOf(app.levels.length) }),
});

/** Ablation: the same level for all, as planners without remodeling have; only training is shared out. */
export const withoutRemodeling = filterGrained({
  name: "withoutRemodeling",
  summary: "as filterGrained, with one level for all apps",
  levelsOf: fixedLevel,
});

/** Ablation: the same amounts, but all apps train side by side. */
export const withoutTurns = filterGrained({
  name: "withoutTurns",
  summary: "as filterGrained, all apps at work side by side",
  ...{ isOrdered: true, inTurns: false },
});

/** Ablation: levels only. */
export const withoutTraining = filterGrained({
  name: "withoutTraining",
  summary: "as filterGrained, without any training",
  isOrdered: true,
  view: (app) => ({ ...app, maxSteps: 0 }),
});

/** Scores rise from the smallest to the largest level, and by as much with training, half of it in the first steps. */
const [PRIOR_SCORE, PRIOR_RISE, PRIOR_HALF_STEPS] = [0.5, 0.2, 20];
const priorOf =
  (levels: number): ScoreEstimate =>
  (level, steps) =>
    PRIOR_SCORE + PRIOR_RISE * ((level + 1) / levels + steps / (steps + PRIOR_HALF_STEPS));
