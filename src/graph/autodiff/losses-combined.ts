import type { Tensor } from "../../base/index.js";
import { attr } from "../ir/index.js";
import { crossEntropy, type Loss } from "./losses.js";

/** Σ wᵢ·Lᵢ; the parts share the targets, of which there is one kind at most. */
export function weightedSum(parts: readonly (readonly [weight: number, loss: Loss])[]): Loss {
  const losses = parts.map(([, loss]) => loss);
  const { targets, ...labels } = losses.find((loss) => loss.targets !== "none") ?? losses[0]!;
  return {
    ...(labels.ignoredLabel !== undefined && { ignoredLabel: labels.ignoredLabel }),
    name: losses.map(({ name }) => name).join(" + "),
    targets,
    build: (context) =>
      parts
        .map(([weight, loss]) => context.emit.mul(loss.build(context), weight))
        .reduce((sum, part) => context.emit.add(sum, part)),
  };
}

/**
 * A loss and what it costs to leave the source: L + λ·Σ_j F_j (θ_j - θ⁰_j)², F being the importance of each weight there.
 *
 * Source: EWC, Kirkpatrick et al. 2017, arXiv:1612.00796, eq. 3. Differs: λ without the ½, as EATA's and avalanche's code.
 */
export const withPenalty = (
  loss: Loss,
  importance: ReadonlyMap<string, Tensor>,
  { strength }: { readonly strength: number },
): Loss => ({
  ...loss,
  name: `${loss.name} + penalty`,
  build(context) {
    const { emit, parameters } = context;
    const terms = parameters.flatMap(({ name, value, source }) => {
      const weight = importance.get(name);
      if (!weight) return [];
      const moved = emit.sub(value, source);
      return [emit.sumAll(emit.mul(emit.mul(moved, moved), emit.tensor(weight, `${name}:importance`)))];
    });
    const own = loss.build(context);
    return terms.reduce((sum, term) => emit.add(sum, emit.mul(term, strength)), own);
  },
});

/** Cross-entropy against the classes that the model itself predicts. Its squared gradients are a Fisher information without labels. */
export const selfCrossEntropy: Loss = {
  name: "self-cross-entropy",
  targets: "none",
  build(context) {
    const { emit, output } = context;
    const [predicted] = emit.node("ArgMax", [output], { axis: attr.int(1), keepdims: attr.int(0) });
    return crossEntropy().build({ ...context, targets: predicted });
  },
};
