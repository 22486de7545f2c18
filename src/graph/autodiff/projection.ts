import type { Emitter, Val } from "../ops/index.js";
import type { Descent } from "./descent.js";
import type { Loss } from "./losses.js";

/**
 * Keeps a step from raising another loss, that of remembered samples, say: where the gradients g and those of the other loss r disagree,
 * g·r < 0, the part along r goes: g ← g - (g·r / r·r) r. Products go over all parameters.
 *
 * Cost: a backward pass more, and the forward passes of the other loss.
 * Source: A-GEM, Chaudhry et al. 2019, arXiv:1812.00420, eq. 11.
 */
export const projected =
  (other: Loss): Descent =>
  ({ emit, at }) => {
    const evaluation = at();
    const { gradients: against } = at(undefined, other);
    const pairs = [...evaluation.gradients].flatMap(([name, g]) => {
      const r = against.get(name);
      return r ? [{ name, g, r }] : [];
    });
    if (pairs.length === 0) return evaluation;
    const agreement = sumOfProducts(
      emit,
      pairs.map(({ g, r }) => [g, r]),
    );
    const square = sumOfProducts(
      emit,
      pairs.map(({ r }) => [r, r]),
    );
    const factor = emit.neg(emit.div(emit.min(agreement, 0), emit.max(square, 1e-30)));
    const kept = pairs.map(({ name, g, r }) => [name, emit.add(g, emit.mul(r, factor))] as const);
    return { ...evaluation, gradients: new Map([...evaluation.gradients, ...kept]) };
  };

const sumOfProducts = (emit: Emitter, pairs: readonly (readonly [Val, Val])[]): Val =>
  pairs.map(([a, b]) => emit.sumAll(emit.mul(a, b))).reduce((a, b) => emit.add(a, b));
