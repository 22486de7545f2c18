import { attr } from "../ir/index.js";
import type { Emitter, Val } from "../ops/index.js";
import { logLikelihoods, type Loss } from "./losses.js";

export interface DistillationOptions {
  /** What is learnt from the teacher: its distribution (default), or the class that it holds likeliest. */
  readonly labels?: "soft" | "hard";
  /** Places where the teacher gives its class less than this do not count; the mean is still over all, as FixMatch takes it. */
  readonly confidence?: number;
  /** Half of the loss with the roles exchanged, as CoTTA's code for ImageNet. */
  readonly symmetric?: boolean;
  /** Samples count less with their age, the input `ages` of the step: 1 / (1 + e^(age/lifetime)). Shapes: [N]. */
  readonly lifetime?: number;
}

/**
 * Cross-entropy against the logits of a teacher, mean over samples and pixels: -Σ_k q_k log p_k with q = softmax(teacher).
 * Shapes: targets as the output, [N, K] or [N, K, H, W].
 * Source: Tarvainen & Valpola 2017, arXiv:1703.01780; CoTTA, Wang et al. 2022, arXiv:2203.13591, eq. 1; `confidence` and `hard`:
 * FixMatch, Sohn et al. 2020, arXiv:2001.07685, eq. 4; `lifetime`: RoTTA, Yuan et al. 2023, arXiv:2303.13899, eq. 7.
 */
export const distillation = (options: DistillationOptions = {}): Loss => ({
  name: "distillation",
  targets: "values",
  build({ emit, output, targets, input }) {
    const q = emit.softmax(targets!, 1);
    let each = logLikelihoods(emit, options.labels === "hard" ? likeliest(emit, q) : q, output);
    if (options.symmetric) {
      const reverse = logLikelihoods(emit, emit.softmax(output, 1), targets!);
      each = emit.mul(emit.add(each, reverse), 0.5);
    }
    if (options.confidence !== undefined) {
      const doubtful = emit.less(emit.reduceMax(q, [1]), options.confidence);
      each = emit.where(doubtful, 0, each);
    }
    if (options.lifetime !== undefined) {
      const { dtype, dims } = each;
      const ages = input("ages", { dtype, dims: dims.slice(0, 1) });
      const weights = emit.sigmoid(emit.mul(ages, -1 / options.lifetime));
      each = emit.mul(each, emit.reshape(weights, [dims[0]!, ...dims.slice(1).map(() => 1)]));
    }
    return emit.neg(emit.meanAll(each));
  },
});

/** One for the largest along axis 1, the first of equal ones. */
function likeliest(emit: Emitter, q: Val): Val {
  const [labels] = emit.node("ArgMax", [q], { axis: attr.int(1), keepdims: attr.int(0) });
  const values = emit.concat(
    [0, 1].map((v) => emit.reshape(emit.scalar(v, q), [1])),
    0,
  );
  return emit.node("OneHot", [labels, emit.ints([q.dims[1]!]), values], { axis: attr.int(1) })[0];
}
