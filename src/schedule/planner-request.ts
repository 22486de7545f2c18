import { z } from "zod";
import { LimberError } from "../base/index.js";
import type { AppState, ScoreEstimate } from "./app.js";
import type { PlanRequest } from "./plan.js";

const amount = z.number().min(0);
const count = z.int().min(0);
const score = z.number().min(0).max(1);

const levelSchema = z.strictObject({
  name: z.string(),
  sparsity: score.optional(),
  size: count,
  ...{ inferMs: amount, stepMs: amount, makeMs: amount, memoryBytes: amount },
  /** Steps and the score expected after them, by rising steps, from 0 on. */
  scores: z
    .array(z.tuple([count, score]).readonly())
    .min(1)
    .readonly(),
});

type ScoredLevel = Readonly<z.output<typeof levelSchema>>;

const appSchema = z.strictObject({
  name: z.string().min(1),
  weight: amount.default(1),
  frames: amount,
  deadlineMs: z.number().positive().optional(),
  level: count.optional(),
  quantum: z.int().min(1).default(10),
  maxSteps: count,
  history: z.array(score).readonly().default([]),
  levels: z.array(levelSchema).min(1).readonly(),
});

const requestSchema = z.strictObject({
  device: z.strictObject({ windowMs: amount, memoryBytes: amount, floorShare: score.optional() }),
  apps: z.array(appSchema).readonly(),
  seed: count.optional(),
});

/** What `limber plan` reads: a request in which the scores expected are tables. */
export type PlanRequestJson = Readonly<z.input<typeof requestSchema>>;

/** A request from its JSON form; between the steps of a table scores are linear, and behind the last they stay. Throws: `config.invalid`. */
export function parsePlanRequest(value: unknown): PlanRequest {
  const result = requestSchema.safeParse(value);
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) => [...path, message].join(": ")).join("; ");
    throw new LimberError(
      "config.invalid",
      `plan request: what docs/scheduler.md describes, got ${problems}; correct the file`,
    );
  }
  const { device, apps, seed } = result.data;
  return {
    ...{ device, seed },
    apps: apps.map(({ levels, ...app }): AppState => ({
      ...app,
      levels,
      estimate: estimateOf(app.name, levels),
    })),
  };
}

function estimateOf(app: string, levels: readonly ScoredLevel[]): ScoreEstimate {
  for (const { name, scores } of levels) {
    if (scores[0]![0] === 0 && scores.every(([steps], i) => i === 0 || steps > scores[i - 1]![0])) continue;
    const got = scores.map(([steps]) => steps).join(", ");
    const message = `plan request, app "${app}", level "${name}", scores: steps that rise from 0, got ${got}; order the table`;
    throw new LimberError("config.invalid", message, { app, level: name });
  }
  return (level, steps) => {
    const { scores } = levels[level]!;
    const next = scores.findIndex(([at]) => at >= steps);
    if (next <= 0) return scores.at(next)![1];
    const [[fromSteps, from], [toSteps, to]] = [scores[next - 1]!, scores[next]!];
    return from + ((to - from) * (steps - fromSteps)) / (toSteps - fromSteps);
  };
}
