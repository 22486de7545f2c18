/** Which value is the threshold: the first one above the errors, or the last one of them, as in the code of ATC or of COT. */
export type ThresholdRule = "exact" | "atc-code" | "cot-code";

/**
 * The score τ that as many source samples lie below as there are errors, so that the share at or above it is the accuracy; +∞ where all are
 * errors. Source: ATC, Garg et al. 2022, arXiv:2201.04234, eq. 1.
 * Differs: `atc-code` and `cot-code` take the score before it, as the authors' do, so that one error counts as right; without any error the first
 * gives 0, which accepts all of the largest probabilities and nothing of the negative entropies, and the other the largest score.
 */
export function fitThreshold(
  scores: ArrayLike<number>,
  isCorrect: ArrayLike<boolean | number>,
  rule: ThresholdRule = "exact",
): number {
  const sorted = Float64Array.from(scores).sort();
  let errors = 0;
  for (let i = 0; i < isCorrect.length; i++) if (!isCorrect[i]) errors++;
  if (rule === "exact") return sorted[errors] ?? Infinity;
  if (errors > 0) return sorted[errors - 1]!;
  return rule === "atc-code" ? 0 : sorted.at(-1)!;
}

/** The score at or above which lies so large a share of the things: of them all, also those that have no score and count as below. */
export function thresholdOfShare(scores: ArrayLike<number>, share: number, things = scores.length): number {
  const sorted = Float64Array.from(scores).sort();
  const above = Math.min(sorted.length, Math.round(share * things));
  return above === 0 ? Infinity : sorted[sorted.length - above]!;
}

/**
 * ATC, average thresholded confidence: the share at or above τ; ATC-MC for scores of `largestOf`, ATC-NE of `negentropyOf`. In [0, 1]. Where
 * there can be more scores than things, as of boxes, things / above: answers too many are as wrong as too few.
 */
export function shareAbove(scores: ArrayLike<number>, threshold: number, things = scores.length): number {
  let above = 0;
  for (let i = 0; i < scores.length; i++) if (scores[i]! >= threshold) above++;
  return above <= things ? above / things : things / above;
}
