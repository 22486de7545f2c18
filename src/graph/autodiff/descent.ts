import type { Emitter, Val } from "../ops/index.js";
import { attr } from "../ir/index.js";
import type { Loss } from "./losses.js";

/** A loss and its gradients at one point. */
export interface Evaluation {
  readonly output: Val;
  readonly loss: Val;
  /** By parameter; without an entry where no path leads to the loss. Shaped like the parameter, or the rows of it that train. */
  readonly gradients: ReadonlyMap<string, Val>;
}

export interface DescentContext {
  readonly emit: Emitter;
  /** What trains, as it is before the step: whole parameters, or the rows of them that train. */
  readonly parameters: ReadonlyMap<string, Val>;
  /** Computes the loss of the step, or another one, at the parameters or at other values for them. */
  at(point?: ReadonlyMap<string, Val>, loss?: Loss): Evaluation;
}

/** Says which gradients a step uses, and the loss that is reported with them. */
export type Descent = (context: DescentContext) => Evaluation;

/** √Σ‖g‖² over all gradients. */
export function globalNorm(emit: Emitter, gradients: Iterable<Val>): Val {
  const squares = Array.from(gradients, (g) => emit.node("ReduceSumSquare", [g], { keepdims: attr.int(0) })[0]);
  return emit.sqrt(squares.length === 1 ? squares[0]! : emit.node("Sum", squares)[0]);
}

/**
 * Sharpness-aware minimisation: the gradients at θ + ρ·g/‖g‖, where g are those at θ and the norm goes over all parameters.
 *
 * Cost: two forward and backward passes, less what no trained parameter reaches.
 * Source: Foret et al. 2021, arXiv:2010.01412, eq. 2 (p = 2); 1e-12 beside the norm as in SAR's code.
 */
export const sharpnessAware =
  ({ radius = 0.05 }: { radius?: number } = {}): Descent =>
  ({ emit, parameters, at }) => {
    const { gradients } = at();
    const norm = globalNorm(emit, gradients.values());
    const scale = emit.div(emit.scalar(radius, norm), emit.add(norm, 1e-12));
    const moved = Array.from(
      gradients,
      ([name, g]) => [name, emit.add(parameters.get(name)!, emit.mul(g, scale))] as const,
    );
    return at(new Map(moved));
  };
