import { Ledger } from "../ledger.js";
import { type Drift, type LineOptions, patchLine } from "../line.js";
import type { Member } from "../member.js";
import { labelByMinimalCount } from "./decide.js";

/** What each number of patches brings after a drift. */
export interface CountNeed {
  readonly drift: string;
  /** Patches that are enough. */
  readonly count: number;
  /** On the held samples, mean over the models: with new statistics alone, and with 1, 2, … patches. */
  readonly scores: readonly number[];
  /** Work of 1, 2, … patches, all models together. Units: multiply-accumulates. */
  readonly macs: readonly number[];
}

/**
 * Patches models once with each number of patches, all from nothing, and tells the fewest that do within a point as well as the best: the truth
 * that `trainCount` learns from. Many held samples, such as 400, are needed to see a point.
 * Throws: as `patchLine`.
 */
export async function measureNeed(
  members: readonly Member[],
  drift: Drift,
  options: Omit<LineOptions, "count" | "ledger" | "library">,
): Promise<CountNeed> {
  const groups = Math.min(...members.map(({ points }) => points.length));
  const scores = new Array<number>(groups + 1).fill(0);
  const macs: number[] = [];
  for (let count = 1; count <= groups; count++) {
    const ledger = new Ledger();
    for await (const { courses, score } of patchLine(members, drift, {
      ...{ ...options, ledger, count, starts: [], grows: false },
    })) {
      scores[count]! += score / members.length;
      // a patch from nothing changes nothing: the first score is that of new statistics
      if (count === 1) scores[0]! += courses[0]!.scores[0]!.value / members.length;
    }
    macs.push(ledger.total().macs);
  }
  return { drift: drift.domain.name, count: labelByMinimalCount(scores.slice(1)), scores, macs };
}
