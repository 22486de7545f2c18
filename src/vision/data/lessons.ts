import type { Random } from "../../base/index.js";
import { joinDomains } from "./block.js";
import type { Domain } from "./types.js";

/** What a training reads, and in which order. */
export interface Lessons {
  readonly domain: Domain;
  /** The samples of one pass; full batches are taken from it one after another. */
  order(random: Random, batchSize: number): number[];
}

/**
 * Makes lessons of one domain, its samples shuffled, or of several, with each batch from one of them: so that a batch's
 * statistics are those of a domain. What is left of a domain when its batches are full waits for another pass.
 */
export function lessonsOf(data: Domain | readonly Domain[]): Lessons {
  const parts = "read" in data ? [data] : data;
  if (parts.length === 1) return { domain: parts[0]!, order: (random) => random.shuffled(range(0, parts[0]!.samples)) };
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, { samples }) => sum + samples, 0));
  return {
    domain: joinDomains(parts.map(({ name }) => name).join("+"), parts),
    order: (random, batchSize) => {
      const chunks = parts.flatMap(({ samples }, i) => {
        const own = random.fork(i).shuffled(range(starts[i]!, samples));
        return Array.from({ length: Math.floor(samples / batchSize) }, (_, k) =>
          own.slice(k * batchSize, (k + 1) * batchSize),
        );
      });
      return random.shuffled(chunks).flat();
    },
  };
}

const range = (start: number, length: number): number[] => Array.from({ length }, (_, i) => start + i);
