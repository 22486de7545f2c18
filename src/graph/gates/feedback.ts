import type { Tensor } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import { gatherAlong, type PruneRecord, undoPruning } from "../passes/index.js";
import type { Surrogate } from "./choice.js";
import { boostValues, openMaster } from "./surrogate.js";
import { withWeights } from "./statistics.js";

/** What a feedback overwrote: small, and enough to undo it to the byte. */
export interface Feedback {
  readonly sparsity: number;
  readonly record: PruneRecord;
  /** The parts of the master's weights as they were. */
  readonly before: ReadonlyMap<string, Tensor>;
}

/**
 * Brings what a surrogate learned back into its master: θ_M ← (1-α)·θ_M + α·θ_S for the weights that make the kept channels of
 * gated layers, their normalization and its statistics. All else keeps its bytes, gates and other layers included.
 *
 * Source: ElasticDNN, TC 2024, and its authors' code (α = 0.2).
 */
export function feedBack(
  master: Model,
  { choice: { sparsity }, record, filters }: Surrogate,
  trained: Model,
  alpha = 0.2,
): { master: Model; feedback: Feedback } {
  const names = new Set(filters.flatMap(({ members }) => members.map(({ initializer }) => initializer)));
  const open = openMaster(master, sparsity);
  const before = new Map([...names].map((name) => [name, partOf(open.graph.initializers.get(name)!, name, record)]));
  const feedback = { sparsity, record, before };
  if (alpha === 0) return { master, feedback };
  return { master: write(master, open, feedback, pick(trained, names), alpha), feedback };
}

/** The master as it was before a feedback, the latest first. */
export function undoFeedback(master: Model, feedback: Feedback): Model {
  return write(master, openMaster(master, feedback.sparsity), feedback, feedback.before, 1);
}

const pick = ({ graph }: Model, names: ReadonlySet<string>): Map<string, Tensor> =>
  new Map([...graph.initializers].filter(([name]) => names.has(name)));

const partOf = (whole: Tensor, name: string, { weights }: PruneRecord): Tensor =>
  Object.entries(weights[name]?.axes ?? {}).reduce(
    (part, [axis, kept]) => gatherAlong(part, Number(axis), kept),
    whole,
  );

function write(
  master: Model,
  open: Model,
  { record, sparsity }: Feedback,
  parts: ReadonlyMap<string, Tensor>,
  mix: number,
): Model {
  const small = { ...open, graph: { ...open.graph, initializers: parts } };
  const { graph } = undoPruning(record, small, open, mix);
  const written = new Map([...parts.keys()].map((name) => [name, graph.initializers.get(name)!]));
  return withWeights(master, written, sparsity);
}

/**
 * A master that has, for the filters that both surrogates have, what the last one learned: rows, normalization and boosts. Cut
 * the new surrogate from it instead of from the master: the feedback of those filters, whole, without touching the others.
 */
export function reuseFilters(
  master: Model,
  last: { readonly surrogate: Surrogate; readonly trained: Model },
): { master: Model; boosts: Readonly<Record<string, ReadonlyMap<number, number>>> } {
  const { surrogate, trained } = last;
  const factors = boostValues({ ...surrogate, model: trained });
  const boosts = Object.entries(factors).map(
    ([group, values]) =>
      [group, new Map(values.map((value, i) => [surrogate.choice.kept[group]![i]!, value]))] as const,
  );
  return { master: feedBack(master, surrogate, trained, 1).master, boosts: Object.fromEntries(boosts) };
}
