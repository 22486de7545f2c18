const TOLERANCE = 1e-8;
const EVALUATIONS_PER_PARAMETER = 100;

/**
 * Least squares by Powell's dog leg within a box, without bounds on the parameters: the minimum of Σ residual² / 2 near the start, or nothing
 * where it does not converge. Where there are fewer residuals than parameters, steps are the shortest ones, so that the start decides the rest.
 * Source: Voglis & Lagaris 2004, "A rectangular trust region dogleg approach", as in scipy's `least_squares(method="dogbox")`.
 */
export function fitDogbox(
  residualsOf: (parameters: readonly number[]) => readonly number[],
  jacobianOf: (parameters: readonly number[]) => readonly (readonly number[])[],
  start: readonly number[],
): readonly number[] | undefined {
  let at = start;
  let residuals = residualsOf(at);
  let cost = dot(residuals, residuals) / 2;
  let radius = largest(start) || 1;
  let left = EVALUATIONS_PER_PARAMETER * start.length - 1;
  while (left > 0) {
    const jacobian = jacobianOf(at);
    const gradient = at.map((_, j) => jacobian.reduce((sum, row, i) => sum + row[j]! * residuals[i]!, 0));
    if (largest(gradient) < TOLERANCE) return at;
    const newton = shortestStep(jacobian, gradient);
    for (let accepted = false; !accepted && left > 0; left--) {
      const { step, hits } = dogleg(newton, gradient, jacobian, radius);
      const moved = jacobian.map((row) => dot(row, step));
      const predicted = -(dot(moved, moved) / 2 + dot(gradient, step));
      const next = at.map((value, j) => value + step[j]!);
      const nextResiduals = residualsOf(next);
      const nextCost = dot(nextResiduals, nextResiduals) / 2;
      if (!Number.isFinite(nextCost)) {
        radius = largest(step) / 4;
        continue;
      }
      const reduction = cost - nextCost;
      const ratio = predicted > 0 ? reduction / predicted : predicted === reduction ? 1 : 0;
      if (ratio < 0.25) radius = largest(step) / 4;
      else if (ratio > 0.75 && hits) radius *= 2;
      const isDone =
        (reduction < TOLERANCE * cost && ratio > 0.25) ||
        Math.hypot(...step) < TOLERANCE * (TOLERANCE + Math.hypot(...at));
      accepted = reduction > 0;
      if (accepted) [at, residuals, cost] = [next, nextResiduals, nextCost];
      if (isDone) return at;
    }
  }
  return undefined;
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const largest = (a: readonly number[]): number => a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** The Newton step where it lies in the box; otherwise from the steepest descent's minimum towards it, as far as the box goes. */
function dogleg(
  newton: readonly number[],
  gradient: readonly number[],
  jacobian: readonly (readonly number[])[],
  radius: number,
): { readonly step: readonly number[]; readonly hits: boolean } {
  if (largest(newton) <= radius) return { step: newton, hits: false };
  const slopes = jacobian.map((row) => dot(row, gradient));
  const curvature = dot(slopes, slopes);
  const toBox = radius / largest(gradient);
  const length = curvature > 0 ? Math.min(toBox, dot(gradient, gradient) / curvature) : toBox;
  const cauchy = gradient.map((value) => -length * value);
  const legs = cauchy.map((value, j) => {
    const leg = newton[j]! - value;
    return leg === 0 ? Infinity : (Math.sign(leg) * radius - value) / leg;
  });
  const part = Math.min(...legs);
  return { step: cauchy.map((value, j) => value + part * (newton[j]! - value)), hits: true };
}

/** -(JᵀJ)⁺ Jᵀr by the eigenvectors of JᵀJ; directions that the residuals do not see are left alone. */
function shortestStep(jacobian: readonly (readonly number[])[], gradient: readonly number[]): readonly number[] {
  const { values, vectors } = eigenOf(
    gradient.map((_, i) => gradient.map((__, j) => jacobian.reduce((sum, row) => sum + row[i]! * row[j]!, 0))),
  );
  const least = largest(values) * 1e-14;
  const step = gradient.map(() => 0);
  for (const [k, value] of values.entries()) {
    if (value <= least) continue;
    const part = -dot(vectors[k]!, gradient) / value;
    for (const j of step.keys()) step[j]! += part * vectors[k]![j]!;
  }
  return step;
}

/** Eigenvalues and eigenvectors of a small symmetric matrix, by Jacobi rotations. */
function eigenOf(symmetric: number[][]): {
  readonly values: readonly number[];
  readonly vectors: readonly (readonly number[])[];
} {
  const a = symmetric.map((row) => [...row]);
  const n = a.length;
  const vectors = a.map((_, i) => a.map((__, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (a[p]![q] === 0) continue;
        const angle = Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!) / 2;
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        const rotate = (one: number[], two: number[]): void => {
          for (let k = 0; k < n; k++) [one[k], two[k]] = [c * one[k]! - s * two[k]!, s * one[k]! + c * two[k]!];
        };
        rotate(a[p]!, a[q]!);
        for (const row of a) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
        rotate(vectors[p]!, vectors[q]!);
      }
    }
  }
  return { values: a.map((row, i) => row[i]!), vectors };
}
