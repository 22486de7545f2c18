import { Random } from "../../base/index.js";
import type { TaskName } from "../../vision/index.js";
import type { Level } from "../app.js";
import type { Signals, Trace, TraceCurve, TraceDrift } from "../trace.js";

export interface SyntheticTraceOptions {
  readonly seed: number;
  readonly kind?: string | undefined;
  readonly task?: TaskName | undefined;
  /** Default 5. */
  readonly levels?: number | undefined;
  /** Default 12, a third of which are validation drifts. */
  readonly drifts?: number | undefined;
  /** Steps measured. Default 0, 10, … 100. */
  readonly steps?: readonly number[] | undefined;
  /** Deviation of each signal. Default 0.015. */
  readonly noise?: number | undefined;
  /** One prediction by the largest level. Units: milliseconds. Default 4. */
  readonly inferMs?: number | undefined;
}

const METRICS: Readonly<Record<TaskName, string>> = {
  classification: "accuracy",
  detection: "mAP@0.5",
  segmentation: "mIoU",
};

/**
 * A trace that was never measured, to try planners and estimators on: larger levels score more as made and cost more, training brings a power
 * law of the steps, more where the drift is stronger, sooner where the level is small, and predictions grow too sure with both.
 * Deterministic in its seed.
 */
export function syntheticTrace(options: SyntheticTraceOptions): Trace {
  const { seed, task = "classification", noise = 0.015, inferMs = 4 } = options;
  const { kind = `synthetic ${seed}`, levels: count = 5, drifts: driftCount = 12 } = options;
  const steps = options.steps ?? Array.from({ length: 11 }, (_, i) => 10 * i);
  const random = new Random(seed);
  const best = random.uniform(0.75, 0.95);
  const slope = random.uniform(0.05, 0.2);
  const shares = Array.from({ length: count }, (_, i) => 0.2 + (0.8 * (i + 1)) / count);
  const sourceScores = shares.map((share) => best - slope * (1 - share) ** 1.5);
  const sourceSignals = sourceScores.map((score): Signals => ({
    confidence: score + 0.03,
    entropy: 0.9 * (1 - score),
    marginalEntropy: 0.98,
    atc: score,
    distance: 0,
    agreement: 0.2 + 0.8 * score,
  }));
  const drifts = Array.from({ length: driftCount }, (_, index): TraceDrift => {
    const each = random.fork(index);
    const strength = each.uniform(0.1, 0.9);
    // how much of what is lost training brings back, how fast, and how much the model overrates itself
    const [reach, exponent, pace, excess] = [
      each.uniform(0.3, 0.8),
      each.uniform(0.8, 1.6),
      each.uniform(12, 35),
      each.uniform(0.2, 0.45),
    ];
    const curves = shares.map((share, level): TraceCurve => {
      const source = sourceScores[level]!;
      const atStart = source * (1 - strength * (0.75 - 0.2 * share));
      const gain = reach * (source - atStart);
      const kappa = pace * (0.6 + 0.4 * share);
      const scores = steps.map((q) => atStart + gain * (1 - (1 + q / kappa) ** -exponent));
      const signals = scores.map((score, i): Signals => {
        const near = (value: number): number => clamp(value + each.normal(0, noise));
        const overrated = score + (source - score) * (excess + 0.1 * Math.min(1, steps[i]! / 100));
        return {
          confidence: near(overrated + 0.03),
          entropy: near(0.9 * (1 - overrated)),
          marginalEntropy: near(0.98 - 0.35 * strength * (1 - steps[i]! / 400)),
          atc: near(overrated),
          distance: Math.max(0, 3 * strength * (1 + each.normal(0, 2 * noise))),
          agreement: near(0.2 + 0.8 * score),
        };
      });
      return { level, steps, scores: scores.map(clamp), signals };
    });
    return { name: `drift ${index}`, isValidation: index % 3 === 0, curves };
  });
  const levels = shares.map((share): Level => {
    const work = 0.15 + 0.85 * share;
    return {
      name: `sparsity ${(1 - share).toFixed(2)}`,
      sparsity: 1 - share,
      size: Math.round(512 * share),
      inferMs: inferMs * work,
      stepMs: 24 * inferMs * work,
      makeMs: 30 * inferMs,
      memoryBytes: Math.round(4e6 + 40e6 * work),
    };
  });
  return {
    version: 1,
    kind,
    task,
    metric: METRICS[task],
    command: `syntheticTrace({ seed: ${seed} })`,
    machine: "none",
    sourceScores,
    sourceSignals,
    levels,
    drifts,
  };
}

const clamp = (value: number): number => Math.min(1, Math.max(0, value));
