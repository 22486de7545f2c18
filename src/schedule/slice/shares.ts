/**
 * Shares as they are kept: in proportion to those asked for, none below the floor, 1 together. max(floor, λ·share) with the λ that fits.
 * A floor that not all can have is one n-th.
 */
export function raiseToFloor(shares: readonly number[], floor: number): number[] {
  const least = Math.min(floor, 1 / shares.length);
  const order = shares.map((_, i) => i).sort((a, b) => shares[a]! - shares[b]!);
  // of each share and all that are larger, from the largest on, so that nothing cancels
  const sums = [...shares];
  for (let rank = order.length - 2; rank >= 0; rank--) sums[order[rank]!]! += sums[order[rank + 1]!]!;
  const raised = shares.map(() => least);
  let rest = 1;
  for (const [rank, at] of order.entries()) {
    const share = sums[at]! > 0 ? rest * (shares[at]! / sums[at]!) : rest / (shares.length - rank);
    raised[at] = Math.max(least, share);
    rest -= raised[at];
  }
  return raised;
}
