import type { AppState, Trial, TrialRequest } from "../app.js";
import { costOf } from "../objective.js";
import type { Plan, Planner, PlanRequest } from "../plan.js";
import { checkRequest } from "./check-request.js";
import { LEAST_GAIN } from "./choices.js";
import { fitEkyaCurve } from "./ekya-curve.js";
import { fixedLevel, planByWeights } from "./fixed-level.js";
import { buildPlan, type Draft, reservedMs, serve, type Service } from "./service.js";

/** How long a training may be: of so many epochs the longest is all that the app may train. */
const EPOCHS = [5, 15, 30];
const MOST_EPOCHS = 30;
/** A trial is five epochs on a tenth of the data, and counts as five. */
const TRIAL_EPOCHS = 5;
const TRIAL_DATA = 0.1;
/** Trials may take at most this share of the window. */
const TRIAL_SHARE = 0.1;
/** Share of the device that is moved from one app to another at a time. */
const STOLEN_SHARE = 0.1;
const PASSES = 3;

/**
 * Micro-profiling and a thief: short trials of a few levels, curves through what they show, then every app in turn takes a tenth of the device
 * from every other, as long as the mean score over the window rises. What is trained serves when it is done.
 * Cost: quadratic in the number of apps. Source: Ekya, Bhardwaj et al., NSDI 2022, and its public code.
 * Differs: configurations are levels, the fixed one and one half as far up, by numbers of epochs; predictions have their time for themselves;
 * an app without trials, as there are where they do not fit a tenth of the window, gets an equal part for training.
 */
export const ekya: Planner = {
  name: "ekya",
  summary: "trials, curves through them, and shares taken from others",
  trials,
  plan,
};

const trialStepsOf = ({ maxSteps }: AppState): number =>
  Math.max(1, Math.round((maxSteps * TRIAL_EPOCHS * TRIAL_DATA) / MOST_EPOCHS));
const trialMsOf = (app: AppState, { level, steps }: TrialRequest): number =>
  costOf({ ...app, frames: 0 }, level, steps);

/** Of apps that have none in this window yet: of both levels, or of one, or none, as a tenth of the window allows. */
function trials(request: PlanRequest): readonly TrialRequest[] {
  const levelOf = fixedLevel(request);
  const untried = request.apps.filter((app) => app.maxSteps > 0 && (app.trials ?? []).length === 0);
  for (const count of [2, 1]) {
    const asked = untried.flatMap((app, index) => {
      const [fixed] = levelOf(app, index) as [number];
      const levels = [...new Set([fixed, Math.floor(fixed / 2)])].slice(0, count);
      return levels.map((level) => ({ app, trial: { app: app.name, level, steps: trialStepsOf(app) } }));
    });
    const ms = asked.reduce((sum, { app, trial }) => sum + trialMsOf(app, trial), 0);
    if (ms <= TRIAL_SHARE * request.device.windowMs) return asked.map(({ trial }) => trial);
  }
  return [];
}

function plan(request: PlanRequest): Plan {
  checkRequest(request);
  const isTried = ({ trials: seen }: AppState): boolean => (seen ?? []).length > 0;
  if (!request.apps.some(isTried)) return planByWeights("ekya", request, () => 1);
  const service = serve(request, fixedLevel(request));
  const jobs = service.drafts.filter(({ isRefused }) => !isRefused).map((draft) => jobOf(service, draft));
  for (const job of jobs) job.heldMs = service.leftMs / jobs.length;
  steal(
    jobs.filter(({ draft }) => isTried(draft.app)),
    STOLEN_SHARE * service.windowMs,
  );
  for (const job of jobs) train(job);
  return buildPlan("ekya", request, service);
}

/** A way to train an app, and the score that it is expected to end at. */
interface Configuration {
  readonly level: number;
  readonly steps: number;
  readonly costMs: number;
  readonly score: number;
}

/** An app with what it may do, and the time that it holds for it. */
interface Job {
  readonly draft: Draft;
  /** Score before any training. */
  readonly present: number;
  readonly configurations: readonly Configuration[];
  heldMs: number;
}

function jobOf(service: Service, draft: Draft): Job {
  const { app, level } = draft;
  const seen = app.trials ?? [];
  const present = (seen.find((trial) => trial.level === level) ?? seen[0])?.before ?? 0;
  const bytes = app.levels[level]!.memoryBytes;
  const configurations = seen.flatMap((trial: Trial) => {
    if (app.levels[trial.level]!.memoryBytes > bytes) return [];
    const scoreAt = fitEkyaCurve(trial.before, TRIAL_EPOCHS, trial.after);
    return EPOCHS.map((epochs): Configuration => {
      const steps = Math.floor((app.maxSteps * epochs) / MOST_EPOCHS);
      const costMs = reservedMs(service, draft, trial.level, steps) - reservedMs(service, draft);
      return { level: trial.level, steps, costMs, score: Math.min(1, scoreAt(epochs)) };
    });
  });
  return { draft, present, configurations: configurations.filter(({ score }) => score > present), heldMs: 0 };
}

/** The configuration that makes most of the time that an app holds: the present score until it is done, then its own. */
function bestOf({ draft, present, configurations }: Job, heldMs: number) {
  let best = { worth: draft.app.weight * present, chosen: undefined as Configuration | undefined };
  for (const chosen of configurations) {
    if (chosen.costMs > heldMs) continue;
    const done = chosen.costMs <= 0 ? 0 : chosen.costMs / heldMs;
    const worth = draft.app.weight * (present * done + chosen.score * (1 - done));
    if (worth > best.worth) best = { worth, chosen };
  }
  return best;
}

/** Every app takes from every other, a part at a time, as long as both together gain. */
function steal(jobs: readonly Job[], partMs: number): void {
  for (let pass = 0, improves = true; improves && pass < PASSES; pass++) {
    improves = false;
    for (const thief of jobs) {
      for (const victim of jobs) {
        while (victim !== thief && victim.heldMs > 0) {
          const ms = Math.min(partMs, victim.heldMs);
          const before = bestOf(thief, thief.heldMs).worth + bestOf(victim, victim.heldMs).worth;
          const after = bestOf(thief, thief.heldMs + ms).worth + bestOf(victim, victim.heldMs - ms).worth;
          if (after <= before + LEAST_GAIN) break;
          thief.heldMs += ms;
          victim.heldMs -= ms;
          improves = true;
        }
      }
    }
  }
}

/** Takes the best configuration; where nothing was tried, as many steps as fit. */
function train(job: Job): void {
  const { draft, present, heldMs } = job;
  const { app, level } = draft;
  if (!app.trials?.length) {
    const { stepMs } = app.levels[level]!;
    draft.steps = stepMs === 0 ? app.maxSteps : Math.min(app.maxSteps, Math.floor(heldMs / stepMs));
    return;
  }
  const { chosen, worth } = bestOf(job, heldMs);
  if (!chosen) return;
  const decision = { app: app.name, gain: worth - app.weight * present, costMs: chosen.costMs };
  draft.why.push(
    chosen.level === level
      ? { ...decision, action: "train", from: 0, to: chosen.steps }
      : { ...decision, action: "retain", from: level, to: chosen.level, steps: chosen.steps },
  );
  [draft.level, draft.steps] = [chosen.level, chosen.steps];
}
