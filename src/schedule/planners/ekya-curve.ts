import { fitDogbox } from "./dogbox.js";

/** Score after so many epochs. */
export type Curve = (epochs: number) => number;

/** Epochs by which training is taken to be over, and the score that it is taken to reach then. */
const [END_EPOCHS, END_SCORE] = [30, 0.95];
/** A short training on part of the data is expected to reach this share of what the curve says. */
const EXPECTED_SHARE = 0.95;
/** Points of the curve that is expected, between which the one that was seen is a single one. */
const BOOSTER_POINTS = 4;

/**
 * Curve acc(x) = 1 - (1 / (b₀ x + b₁) + b₂) through the score at the start and one seen after some epochs; constant where no fit converges.
 * Two observations do not decide three parameters: a curve to the score of 0.95 after 30 epochs does, scaled by how far what was seen falls short.
 * Source: Ekya, Bhardwaj et al., NSDI 2022, and its public microprofiler.
 */
export function fitEkyaCurve(start: number, epochs: number, seen: number): Curve {
  const ends = [0, END_EPOCHS];
  const expected = fitOptimus(ends, [start, END_SCORE]);
  const shortfall = expected && Math.min(1, seen / (expected(epochs) * EXPECTED_SHARE));
  const endScores = [start, END_SCORE * (shortfall ?? NaN)];
  const scaled = shortfall === undefined ? undefined : fitOptimus(ends, endScores);
  if (!scaled) return () => start;
  const boosters = Array.from({ length: BOOSTER_POINTS }, (_, i) => (i * END_EPOCHS) / (BOOSTER_POINTS - 1));
  const fitted = fitOptimus([...boosters, ...ends, epochs], [...boosters.map(scaled), ...endScores, seen]);
  return fitted ?? (() => start);
}

function fitOptimus(xs: readonly number[], ys: readonly number[]): Curve | undefined {
  const valueAt = (x: number, [b0, b1, b2]: readonly number[]): number => 1 - (1 / (b0! * x + b1!) + b2!);
  const fitted = fitDogbox(
    (b) => xs.map((x, i) => valueAt(x, b) - ys[i]!),
    ([b0, b1]) => xs.map((x) => [x / (b0! * x + b1!) ** 2, 1 / (b0! * x + b1!) ** 2, -1]),
    [1, 1, 1],
  );
  return fitted && ((x) => valueAt(x, fitted));
}
