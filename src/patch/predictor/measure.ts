import type { Model } from "../../graph/index.js";
import type { Domain } from "../../vision/index.js";
import { type Confusion, confusionOf } from "./confusion.js";
import { type CountOptions, type CountRow, type CountRun, runCount } from "./count.js";
import { type CountRule, predictCount } from "./decide.js";

/** How well a network tells the number of patches. */
export interface CountMeasurement extends Omit<CountRun, "rows"> {
  /** Image by image, as PatchLine reports it. */
  readonly images: Confusion;
  /** One decision for all images of each drift, by its tag: what is used. */
  readonly drifts: readonly {
    readonly drift: string;
    readonly truth: number;
    readonly count: number;
    readonly top1: number;
  }[];
}

/** Measures a network on labelled pictures, such as those of `snowDomain`. Throws: as `runCount`. */
export async function measureCount(
  model: Model,
  domain: Domain,
  { margin, quantile, ...options }: CountOptions & CountRule,
): Promise<CountMeasurement> {
  const { rows, ...cost } = await runCount(model, domain, options);
  const answerOf = ({ probabilities }: CountRow): number => probabilities.indexOf(Math.max(...probabilities));
  const confusion = (of: readonly CountRow[]): Confusion =>
    confusionOf(
      of.map(({ label }) => label),
      of.map(answerOf),
      rows[0]?.probabilities.length ?? 0,
    );
  const byDrift = new Map<string, CountRow[]>();
  for (const row of rows) {
    const drift = domain.tags?.(row.index)[0] ?? domain.name;
    byDrift.set(drift, [...(byDrift.get(drift) ?? []), row]);
  }
  const drifts = [...byDrift].map(([drift, of]) => ({
    drift,
    truth: of[0]!.label + 1,
    count: predictCount(
      of.map(({ probabilities }) => probabilities),
      { margin, quantile },
    ).count,
    top1: confusion(of).top1,
  }));
  return { images: confusion(rows), drifts, ...cost };
}
