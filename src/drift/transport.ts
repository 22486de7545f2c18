import { LimberError } from "../base/index.js";
import type { ProbabilityRows } from "./confidence.js";

/** Samples and the labels that transport them at the least cost. */
export interface Transport {
  /** By sample, its label. */
  readonly labels: Int32Array;
  /** By sample, ½·‖e_label - p‖₁ in [0, 1]. */
  readonly costs: Float64Array;
}

/** So many labels of each class that their shares come as near to a marginal as whole numbers do. */
export function countsOfMarginal(marginal: ArrayLike<number>, samples: number): number[] {
  const total = Array.from(marginal).reduce((a, b) => a + b, 0);
  const wanted = Array.from(marginal, (share) => (share / total) * samples);
  const counts = wanted.map(Math.floor);
  const order = wanted.map((_, k) => k).sort((a, b) => wanted[b]! - counts[b]! - (wanted[a]! - counts[a]!) || a - b);
  const missing = samples - counts.reduce((a, b) => a + b, 0);
  for (const k of order.slice(0, missing)) counts[k]!++;
  return counts;
}

/**
 * Gives each sample a label, of each class as many as there are, with the least Σ ½·‖e_label - p‖₁: exact optimal transport.
 * The Hungarian algorithm with classes as columns that hold many. Cost: n² · classes at worst; 1,000 samples of 100 classes in 0.1 s.
 * Throws: `shape.mismatch` unless there is a label for each sample.
 * Source: Kuhn 1955, by shortest augmenting paths as in Jonker & Volgenant 1987.
 */
export function transportLabels(rows: ProbabilityRows, counts: readonly number[]): Transport {
  const classes = counts.length;
  const labelled = counts.reduce((a, b) => a + b, 0);
  if (labelled !== rows.length) {
    const message = `transport: ${rows.length} labels, one for each sample, got ${labelled}; make them with countsOfMarginal`;
    throw new LimberError("shape.mismatch", message, { expected: rows.length, got: labelled });
  }
  const costs = rows.map((row) => {
    const sum = Array.from(row).reduce((a, p) => a + Math.abs(p), 0);
    return Float64Array.from({ length: classes }, (_, k) => (Math.abs(1 - row[k]!) + sum - Math.abs(row[k]!)) / 2);
  });
  const labels = new Int32Array(rows.length).fill(-1);
  const members: number[][] = counts.map(() => []);
  const prices = new Float64Array(classes);
  for (let sample = 0; sample < rows.length; sample++) {
    const distances = new Float64Array(classes).fill(Infinity);
    /** Who comes to a class on the shortest way, and from which class: none for the new sample. */
    const [comers, previous] = [new Int32Array(classes), new Int32Array(classes).fill(-1)];
    const done = new Uint8Array(classes);
    const reach = (who: number, from: number, start: number): void => {
      for (let k = 0; k < classes; k++) {
        const distance = start + costs[who]![k]! - prices[k]!;
        if (done[k] === 0 && distance < distances[k]!) [distances[k], comers[k], previous[k]] = [distance, who, from];
      }
    };
    reach(sample, -1, 0);
    let nearest = 0;
    for (;;) {
      nearest = -1;
      for (let k = 0; k < classes; k++)
        if (done[k] === 0 && counts[k]! > 0 && (nearest < 0 || distances[k]! < distances[nearest]!)) nearest = k;
      done[nearest] = 1;
      if (members[nearest]!.length < counts[nearest]!) break;
      // what a member's label costs it beyond the price of its class comes off any other label
      for (const who of members[nearest]!)
        reach(who, nearest, distances[nearest]! - (costs[who]![nearest]! - prices[nearest]!));
    }
    const length = distances[nearest]!;
    for (let k = 0; k < classes; k++) if (done[k] === 1) prices[k]! += distances[k]! - length;
    for (let k = nearest; k >= 0; k = previous[k]!) {
      const who = comers[k]!;
      const from = labels[who]!;
      if (from >= 0) members[from]!.splice(members[from]!.indexOf(who), 1);
      labels[who] = k;
      members[k]!.push(who);
    }
  }
  return { labels, costs: Float64Array.from(labels, (label, i) => costs[i]![label]!) };
}

/**
 * COT, confidence optimal transport: accuracy as 1 - the mean cost of moving the source's labels to the predictions. Sees a model that is sure of
 * few classes, where confidence does not. Source: Lu et al. 2023, arXiv:2305.15640. Differs: labels in proportion, the rest not drawn.
 */
export function optimalTransport(rows: ProbabilityRows, counts: readonly number[]): number {
  const { costs } = transportLabels(rows, counts);
  return 1 - costs.reduce((a, b) => a + b, 0) / costs.length;
}

/** What COTT thresholds, by sample, the larger the better: -‖e_label - p‖₁, see `fitThreshold` and `shareAbove`. Source: as COT. */
export const transportScores = (rows: ProbabilityRows, counts: readonly number[]): Float64Array =>
  transportLabels(rows, counts).costs.map((cost) => -2 * cost);
