import { LimberError } from "../../base/index.js";
import type { RunTensor } from "../../run/node.js";

export interface CountDecision {
  /** Patches, from 1. */
  readonly count: number;
  /** Mean probability of each number of patches. */
  readonly probabilities: readonly number[];
  /** Whether a larger number took the place of a likelier one. */
  readonly raised: boolean;
  /** Images whose prediction was not finite; they have no say. */
  readonly broken: number;
}

/** Softmax of each row. Shapes: [N, K] → N rows of K. */
export function countProbabilities({ dims, data }: RunTensor): number[][] {
  const width = data.length / dims[0]!;
  return Array.from({ length: dims[0]! }, (_, row) => {
    const logits = Array.from({ length: width }, (_, k) => Number(data[row * width + k]));
    const most = Math.max(...logits);
    const powers = logits.map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  });
}

/** How sure a number has to be. */
export interface CountRule {
  /** A larger number takes the place of a likelier one that is less than this above it. Default 0.1. */
  readonly margin?: number | undefined;
  /**
   * The smallest number that is enough with this probability, whichever is the likeliest. Where a patch too few costs k times what one too many does, it is
   * k / (1 + k): the newsvendor's quantile. Default: by the margin.
   */
  readonly quantile?: number | undefined;
}

/**
 * How many patches a batch of drifted images takes, by the mean over the images: the likeliest number, the largest within `margin` of
 * it, or a quantile. A patch too many costs time, one too few accuracy. Source: PatchLine decides image by image, by the likeliest alone.
 * Throws: `data.invalid` where no image has a finite prediction.
 */
export function predictCount(
  rows: readonly (readonly number[])[],
  { margin = 0.1, quantile }: CountRule = {},
): CountDecision {
  const finite = rows.filter((row) => row.every(Number.isFinite));
  if (finite.length === 0) {
    const message = `number of patches: images with finite predictions, got none of ${rows.length}; check the images`;
    throw new LimberError("data.invalid", message);
  }
  const probabilities = finite[0]!.map((_, k) => finite.reduce((sum, row) => sum + row[k]!, 0) / finite.length);
  const most = Math.max(...probabilities);
  const upTo = (k: number): number => probabilities.slice(0, k + 1).reduce((sum, value) => sum + value, 0);
  const place =
    quantile === undefined
      ? probabilities.findLastIndex((value) => value === most || most - value < margin)
      : probabilities.findIndex((_, k) => k === probabilities.length - 1 || upTo(k) >= quantile);
  return {
    ...{ count: place + 1, probabilities, broken: rows.length - finite.length },
    raised: probabilities[place] !== most && place > probabilities.indexOf(most),
  };
}

/**
 * The number of patches that a drift takes: the smallest whose score is within `slack` of the best. Scores are those of 1, 2, … patches.
 * Where none is a number it takes all.
 */
export function labelByMinimalCount(scores: readonly number[], slack = 0.01): number {
  const best = Math.max(...scores.filter(Number.isFinite));
  const enough = scores.findIndex((score) => score >= best - slack - 1e-12);
  return enough < 0 ? scores.length : enough + 1;
}
