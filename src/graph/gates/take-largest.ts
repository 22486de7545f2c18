import { attr } from "../ir/index.js";
import { type Emitter, type Val } from "../ops/index.js";

/** Far below one channel, far above the rounding of a share in float32: so that 0.7 of 10 channels are 7 everywhere. */
const TOLERANCE = 1e-3;

/** How many of `size` channels stay at a sparsity: size - ⌊s·size⌋, at least one. */
export const keptCount = (size: number, sparsity: number): number =>
  Math.max(1, size - Math.floor(sparsity * size + TOLERANCE));

/** The places of the largest scores at a sparsity, in ascending order; of equal scores the first stay. */
export const keepLargest = (scores: ArrayLike<number>, sparsity: number): number[] =>
  Array.from({ length: scores.length }, (_, i) => i)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, keptCount(scores.length, sparsity))
    .sort((a, b) => a - b);

/**
 * The same in a graph, for each row (k-takes-all): the ⌊s·C⌋ smallest entries become zero, the others pass as they are, and so do
 * gradients. Shapes: scores [N, C], sparsity [N] or [1] → [N, C].
 */
export function takeLargest(emit: Emitter, scores: Val, sparsity: Val): Val {
  const size = scores.dims[1]!;
  const order = emit.node("TopK", [scores, emit.ints([size])], { axis: attr.int(1) }, { outputs: 2 })[1]!;
  // Where each entry stands in the order: sorting the order sorts it back.
  const ascending = { axis: attr.int(1), largest: attr.int(0) };
  const ranks = emit.node("TopK", [emit.cast(order, "float32"), emit.ints([size])], ascending, { outputs: 2 })[1]!;
  const silent = emit.node("Floor", [emit.add(emit.mul(sparsity, size), TOLERANCE)])[0];
  const kept = emit.max(emit.sub(emit.scalar(size, silent), silent), 1);
  const stays = emit.less(emit.cast(ranks, "float32"), emit.node("Unsqueeze", [kept, emit.ints([1])])[0]);
  return emit.where(stays, scores, 0);
}
