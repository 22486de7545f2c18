import { LimberError, type Random } from "../../base/index.js";
import type { Domain } from "./types.js";

export interface SamplerOptions {
  readonly order: "file" | "shuffled";
  /** How often each class is drawn, relative to the others. Default: as often as it occurs. */
  readonly classWeights?: readonly number[] | undefined;
  /** How often a sample is drawn, relative to others of its class (of the domain, without class weights). */
  readonly tagWeight?: ((tags: readonly string[]) => number) | undefined;
  readonly random: Random;
}

/** Samples that are equally likely, dealt like a deck of cards. */
interface Deck {
  readonly weight: number;
  cards: number[];
  next: number;
}

/**
 * Deals samples of a domain for ever: every sample once before any returns, then again in a new seeded order.
 * With weights, decks of equally likely samples are drawn at random and each deck deals fresh samples first.
 * Throws: `config.invalid` when no sample has a weight above 0.
 */
export function createSampler(domain: Domain, options: SamplerOptions): (count: number) => Int32Array {
  const { order, random } = options;
  const decks = sortIntoDecks(domain, options).filter(({ weight }) => weight > 0);
  if (decks.length === 0) {
    throw new LimberError(
      "config.invalid",
      `${domain.name}: a sample with a weight above 0 expected, got none; correct the label or subpopulation shift`,
      { domain: domain.name },
    );
  }
  if (order === "shuffled") for (const deck of decks) deck.cards = random.shuffled(deck.cards);
  const deal = (deck: Deck): number => {
    if (deck.next === deck.cards.length) {
      if (order === "shuffled") deck.cards = random.shuffled(deck.cards);
      deck.next = 0;
    }
    return deck.cards[deck.next++]!;
  };
  const total = decks.reduce((sum, { weight }) => sum + weight, 0);
  const draw = (): Deck => {
    let rest = decks.length === 1 ? 0 : random.uniform(0, total);
    return decks.find(({ weight }) => (rest -= weight) < 0) ?? decks.at(-1)!;
  };
  return (count) => Int32Array.from({ length: count }, () => deal(draw()));
}

/** One deck per class (with class weights) and tag weight; a deck weighs as much as its samples together. */
function sortIntoDecks(domain: Domain, { classWeights, tagWeight }: SamplerOptions): Deck[] {
  const classes = new Map<number, Map<number, number[]>>();
  for (let index = 0; index < domain.samples; index++) {
    const label = classWeights === undefined ? 0 : domain.label(index);
    const weight = tagWeight === undefined ? 1 : checkWeight(tagWeight(domain.tags?.(index) ?? []), domain);
    const byWeight = classes.get(label) ?? new Map<number, number[]>();
    classes.set(label, byWeight.set(weight, byWeight.get(weight) ?? []));
    byWeight.get(weight)!.push(index);
  }
  return [...classes].flatMap(([label, byWeight]) => {
    const sum = [...byWeight].reduce((all, [weight, cards]) => all + weight * cards.length, 0);
    const share = classWeights === undefined ? sum : checkWeight(classWeights[label] ?? 0, domain);
    return [...byWeight].map(([weight, cards]) => ({
      weight: sum > 0 ? (share * weight * cards.length) / sum : 0,
      cards,
      next: 0,
    }));
  });
}

function checkWeight(weight: number, domain: Domain): number {
  if (weight >= 0 && weight < Infinity) return weight;
  throw new LimberError(
    "config.invalid",
    `${domain.name}: weights from 0 on expected, got ${weight}; correct the label or subpopulation shift`,
    { domain: domain.name },
  );
}

/**
 * Draws proportions from a symmetric Dirichlet distribution: few classes dominate when `concentration` is small.
 * Computed from logarithms, since the gamma variates of a small concentration underflow.
 * Source: Marsaglia & Tsang 2000, doi:10.1145/358407.358414, with their boost for shapes below 1.
 */
export function drawDirichlet(random: Random, concentration: number, classes: number): number[] {
  const logs = Array.from(
    { length: classes },
    () => logGammaVariate(random, concentration + 1) + Math.log(1 - random.next()) / concentration,
  );
  const largest = Math.max(...logs);
  const parts = logs.map((log) => Math.exp(log - largest));
  const sum = parts.reduce((all, part) => all + part, 0);
  return parts.map((part) => part / sum);
}

/** The logarithm of a Gamma(shape, 1) variate, shape at least 1. */
function logGammaVariate(random: Random, shape: number): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.next()) < (x * x) / 2 + d - d * v + d * Math.log(v)) return Math.log(d * v);
  }
}
