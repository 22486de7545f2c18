/**
 * Divides time among jobs as ideal processor sharing does: each gets time in proportion to its weight until its demand is met, and what it
 * leaves goes to the others in the same proportion. Gives min(demand_i, weight_i · v) for the v at which all together take `capacityMs`, or
 * every demand where they fit.
 * Source: Parekh & Gallager, "A generalized processor sharing approach to flow control", 1993. Cost: O(n log n).
 */
export function shareFluidly(
  capacityMs: number,
  demandsMs: readonly number[],
  weights: readonly number[],
): readonly number[] {
  const total = demandsMs.reduce((sum, demand) => sum + demand, 0);
  if (total <= capacityMs) return demandsMs;
  const given = demandsMs.map(() => 0);
  const order = demandsMs
    .map((demand, i) => ({ i, meetsAt: demand / weights[i]! }))
    .filter(({ i }) => demandsMs[i]! > 0)
    .sort((a, b) => a.meetsAt - b.meetsAt || a.i - b.i);
  let waiting = order.reduce((sum, { i }) => sum + weights[i]!, 0);
  let left = Math.max(0, capacityMs);
  for (const { i } of order) {
    given[i] = Math.min(demandsMs[i]!, (weights[i]! / waiting) * left);
    left -= given[i];
    waiting -= weights[i]!;
  }
  return given;
}
