/** Probabilities of the classes, a row for each sample. */
export type ProbabilityRows = readonly ArrayLike<number>[];

/** The largest probability of each sample: what AC, DoC, IM and ATC-MC go by. */
export const largestOf = (rows: ProbabilityRows): Float64Array =>
  Float64Array.from(rows, (row) => Array.from(row).reduce((a, b) => Math.max(a, b), -Infinity));

/** Σ p·ln p of each sample, at most 0: what ATC-NE goes by. */
export const negentropyOf = (rows: ProbabilityRows): Float64Array =>
  Float64Array.from(rows, (row) => Array.from(row).reduce((sum, p) => (p > 0 ? sum + p * Math.log(p) : sum), 0));

/** AC, average confidence: how accurate a model would be that is as sure as it is right. Source: Hendrycks & Gimpel 2017. */
export const averageConfidence = (confidences: ArrayLike<number>): number => mean(confidences);

/** DoC, difference of confidences: the source's accuracy, less what confidence has fallen by. Source: Guillory et al. 2021, arXiv:2107.03315. */
export const differenceOfConfidences = (
  sourceAccuracy: number,
  source: ArrayLike<number>,
  target: ArrayLike<number>,
): number => sourceAccuracy + mean(target) - mean(source);

/**
 * IM, importance re-weighting: the source's accuracy, each sample counting as much as its confidence is more frequent in the target.
 * Bins are (a, b], the first one with 0. NaN where the target's confidences lie where the source has none.
 * Source: Chen et al. 2021 (Mandoline), as in Garg et al. 2022, arXiv:2201.04234.
 * Differs: their code puts values at the edges of bins into one bin to count them, and into the one before to look them up.
 */
export function importanceWeighted(
  source: ArrayLike<number>,
  isCorrect: ArrayLike<boolean | number>,
  target: ArrayLike<number>,
  bins = 10,
): number {
  const binOf = (value: number): number => Math.min(bins - 1, Math.max(0, Math.ceil(value * bins) - 1));
  const shares = (values: ArrayLike<number>): Float64Array => {
    const counts = new Float64Array(bins);
    for (let i = 0; i < values.length; i++) counts[binOf(values[i]!)]! += 1 / values.length;
    return counts;
  };
  const [own, other] = [shares(source), shares(target)];
  let [right, total] = [0, 0];
  for (let i = 0; i < source.length; i++) {
    const bin = binOf(source[i]!);
    const weight = other[bin]! / own[bin]!;
    total += weight;
    if (isCorrect[i]) right += weight;
  }
  return right / total;
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
