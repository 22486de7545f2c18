import { tensorOf, zeros } from "../../base/index.js";
import { attr } from "../ir/index.js";
import type { Emitter, Val } from "../ops/index.js";
import { entropies, type Loss, type LossContext, oneHot } from "./losses.js";

/** 1 where the condition holds. Shapes: as the condition. */
const maskOf = (emit: Emitter, condition: Val, like: Val): Val => emit.cast(condition, like.dtype);

/** Mean over the places where the mask is 1; 0 where there are none. */
const meanOver = (emit: Emitter, values: Val, mask: Val): Val =>
  emit.div(emit.sumAll(emit.mul(values, mask)), emit.max(emit.sumAll(mask), 1));

const any = (emit: Emitter, mask: Val): Val => emit.greater(emit.sumAll(mask), 0);

/** `share` of the largest entropy that a prediction of these classes can have. Units: nats. */
const limitOf = (output: Val, share: number): number => share * Math.log(output.dims[1]!);

export interface SelectiveEntropyOptions {
  /** E₀ as a share of ln K: predictions above it are not reliable. */
  readonly maximumEntropy?: number;
  /** d: predictions that point where the past ones did, |cos(p, m)| ≥ d, are redundant. */
  readonly maximumCosine?: number;
  /** Weight of the past in m. */
  readonly momentum?: number;
}

/**
 * Entropy of reliable and non-redundant predictions: mean over {H_i < E₀, |cos(p_i, m)| < d} of exp(E₀ - H_i)·H_i, the factor
 * being a constant to the gradient; m is the moving average of the selected predictions, of which the first batch sees none.
 * Where nothing is selected there is no update. Measures `reliable` and `selected`, both [N].
 *
 * Source: EATA, Niu et al. 2022, arXiv:2204.02610, eq. 2–6; the constants of the authors' code for CIFAR-10 sizes.
 */
export const selectiveEntropy = (options: SelectiveEntropyOptions = {}): Loss => ({
  name: "selective-entropy",
  targets: "none",
  build({ emit, output, carry, measure, onlyIf }) {
    const { maximumEntropy = 0.4, maximumCosine = 0.4, momentum = 0.9 } = options;
    const limit = limitOf(output, maximumEntropy);
    const each = entropies(emit, output);
    const reliable = maskOf(emit, emit.less(each, limit), each);
    const p = emit.softmax(output, 1);
    const past = carry("mean-prediction", zeros(output.dtype, [output.dims[1]!]));
    const cosine = cosines(emit, p, past.before);
    const selected = emit.mul(reliable, maskOf(emit, emit.less(emit.abs(cosine), maximumCosine), each));
    const isAny = any(emit, selected);
    onlyIf(isAny);
    measure("reliable", reliable);
    measure("selected", selected);
    const count = emit.max(emit.sumAll(selected), 1);
    const mask = emit.reshape(selected, selected.dims.toSpliced(1, 0, 1));
    const mean = emit.div(emit.sumToChannel(emit.mul(p, mask)), count);
    const blend = emit.add(emit.mul(past.before, momentum), emit.mul(mean, 1 - momentum));
    const isFirst = emit.equal(emit.sumAll(past.before), 0);
    past.next(emit.where(isAny, emit.where(isFirst, mean, blend), past.before));
    const weights = emit.detach(emit.exp(emit.sub(emit.scalar(limit, each), each)));
    return meanOver(emit, emit.mul(each, weights), selected);
  },
});

/** cos(p_i, m) for each place; 0 where m is. Shapes: [N, K, …], [K] → [N, …]. */
function cosines(emit: Emitter, p: Val, mean: Val): Val {
  const product = emit.reduceSum(emit.mul(p, emit.perChannel(mean, p.dims.length)), [1]);
  const length = (squares: Val): Val => emit.max(emit.sqrt(squares), 1e-8);
  return emit.div(
    product,
    emit.mul(length(emit.reduceSum(emit.mul(p, p), [1])), length(emit.sumAll(emit.mul(mean, mean)))),
  );
}

/**
 * Entropy of predictions that are reliable, H_i < E₀, and stay so where `sharpnessAware` has moved the weights: the mean over
 * those that pass both. Measures `selected` [N]. Zero where none does: a momentum step all the same, unless `skipsEmpty`.
 *
 * Source: SAR, Niu et al. 2023, arXiv:2302.12400, eq. 2–4.
 */
export const reliableEntropy = (options: { maximumEntropy?: number; skipsEmpty?: boolean } = {}): Loss => ({
  name: "reliable-entropy",
  targets: "none",
  build({ emit, output, unperturbed, measure, onlyIf }) {
    const limit = limitOf(output, options.maximumEntropy ?? 0.4);
    const each = entropies(emit, output);
    const reliableAt = (values: Val): Val => maskOf(emit, emit.less(values, limit), values);
    const before = unperturbed && reliableAt(entropies(emit, unperturbed));
    const selected = before ? emit.mul(before, reliableAt(each)) : reliableAt(each);
    measure("selected", selected);
    if (unperturbed && options.skipsEmpty) onlyIf(any(emit, selected));
    return meanOver(emit, each, selected);
  },
});

export interface BalancedEntropyOptions {
  /** Weight of the past in q̂. */
  readonly momentum?: number;
  /** Weighs by exp(½ ln K - H) besides, and leaves out where that is 1 or less. Default true, as in the authors' code. */
  readonly certainOnly?: boolean;
}

/**
 * Entropy weighted against the classes that were predicted most: mean of w_i·H_i, w_i ∝ 1 / q̂[argmax p_i] with a mean of 1,
 * q̂ being the moving average of the mean prediction, 1/K at the start. Measures `weights` [N].
 *
 * Source: dynamic online re-weighting, DELTA, Zhao et al. 2023, arXiv:2301.13018, §3.2 and the authors' code.
 */
export const balancedEntropy = (options: BalancedEntropyOptions = {}): Loss => ({
  name: "balanced-entropy",
  targets: "none",
  build(context) {
    const { emit, output, carry, measure, onlyIf } = context;
    const classes = output.dims[1]!;
    const momentum = options.momentum ?? 0.95;
    const each = entropies(emit, output);
    // Times K, so that the start is a number without rounding.
    const past = carry("class-frequencies", tensorOf(output.dtype, [classes], Array<number>(classes).fill(1)));
    const p = emit.softmax(output, 1);
    const places = p.dims.flatMap((_, i) => (i === 1 ? [] : [i]));
    past.next(
      emit.add(emit.mul(past.before, momentum), emit.mul(emit.reduceMean(p, places), classes * (1 - momentum))),
    );
    const rarity = emit.perChannel(emit.reciprocal(past.before), output.dims.length);
    const raw = emit.reduceSum(emit.mul(predictedOneHot(context), rarity), [1]);
    const weights = emit.div(raw, emit.meanAll(raw));
    measure("weights", weights);
    if (options.certainOnly === false) return emit.meanAll(emit.mul(each, weights));
    const certainty = emit.detach(emit.exp(emit.sub(emit.scalar(limitOf(output, 0.5), each), each)));
    const certain = maskOf(emit, emit.greater(certainty, 1), each);
    onlyIf(any(emit, certain));
    return meanOver(emit, emit.mul(each, emit.mul(weights, certainty)), certain);
  },
});

const predictedOneHot = ({ emit, output }: LossContext): Val =>
  oneHot(emit, emit.node("ArgMax", [output], { axis: attr.int(1), keepdims: attr.int(0) })[0], output, 0, 1);
