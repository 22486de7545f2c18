import { bruteForce, filterGrained, randomRequest, worthOf } from "../../schedule/index.js";

/** Devices with so many apps, levels and quanta of training, and how many of each. */
const TINY = [
  { apps: 2, levels: 4, quanta: 5, count: 120 },
  { apps: 3, levels: 4, quanta: 4, count: 60 },
] as const;

/** What the filter-grained planner's plans are worth, as shares of the best plans: mean and least over random tiny devices. */
export function measureBruteForceShare(): { readonly mean: number; readonly least: number } {
  const planner = filterGrained();
  const shares = TINY.flatMap(({ count, ...size }) =>
    Array.from({ length: count }, (_, seed) => {
      const request = randomRequest(seed, { ...size, isConcave: seed % 2 === 0 });
      const best = bruteForce(request);
      return best === -Infinity ? 1 : Math.min(1, worthOf(planner.plan(request), request) / best);
    }),
  );
  return { mean: shares.reduce((sum, share) => sum + share, 0) / shares.length, least: Math.min(...shares) };
}
