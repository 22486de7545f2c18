/** E[max(X, 0)] of a normal X. */
export function meanAboveZero(mean: number, deviation: number): number {
  if (!(deviation > 0)) return Math.max(0, mean);
  const z = mean / deviation;
  return deviation * (density(z) + z * shareBelow(z));
}

const density = (z: number): number => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);

/** Φ(z), to within 1e-7. Source: Abramowitz & Stegun 1964, 26.2.17. */
function shareBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const polynomial = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const above = density(z) * polynomial;
  return z >= 0 ? 1 - above : above;
}
