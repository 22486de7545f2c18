import { sizeOf } from "../../../base/index.js";
import { attr } from "../../ir/index.js";
import type { Emitter, Val } from "../emit.js";
import { normalizeAxis } from "../geometry.js";
import type { GradientContext, GradientRule } from "./rule.js";
import { firstOutputOnly, once } from "./terms.js";

/** (variance + ε)^−½. */
const inverseDeviation = (emit: Emitter, variance: Val, epsilon: number): Val =>
  emit.reciprocal(emit.sqrt(emit.add(variance, epsilon)));

/** BatchNormalization with either kind of statistics. */
export const batchNormalization: GradientRule<"BatchNormalization"> = (context) =>
  context.attributes.int("training_mode", 0) === 1 ? batchStatistics(context) : fixedStatistics(context);

/**
 * The sums over a channel that all gradients are made of: Σ dY and Σ dY · x̂ with x̂ = (X − mean) · (var + ε)^−½.
 * The second is computed as (var + ε)^−½ · (Σ dY·X − mean · Σ dY), which reads each tensor once.
 */
function channelSums(
  emit: Emitter,
  X: Val,
  dY: Val,
  mean: Val,
  inverse: () => Val,
): { sum: () => Val; dot: () => Val } {
  const sum = once(() => emit.sumToChannel(dY));
  const raw = once(() => emit.sumToChannel(emit.mul(dY, X)));
  return { sum, dot: once(() => emit.mul(inverse(), emit.sub(raw(), emit.mul(mean, sum())))) };
}

/**
 * Fixed statistics: y = scale · x̂ + B. Statistics may themselves be computed from the batch, so they have gradients too.
 * Shapes: X, dY [N, C, …]; scale, B, input_mean, input_var [C].
 * Source: Ioffe & Szegedy 2015, arXiv:1502.03167, §3.
 */
const fixedStatistics: GradientRule<"BatchNormalization"> = (context) => {
  firstOutputOnly(context);
  const { emit, attributes, dY, inputs } = context;
  const { X, scale, input_mean: mean, input_var: variance } = inputs;
  const inverse = once(() => inverseDeviation(emit, variance, attributes.float("epsilon", 1e-5)));
  const slope = once(() => emit.mul(scale, inverse()));
  const { sum, dot } = channelSums(emit, X, dY, mean, inverse);
  return {
    X: () => emit.mul(dY, emit.perChannel(slope(), X.dims.length)),
    scale: dot,
    B: sum,
    input_mean: () => emit.neg(emit.mul(slope(), sum())),
    // ∂/∂var of (var + ε)^−½ is −½ (var + ε)^−3/2.
    input_var: () => emit.mul(emit.mul(emit.mul(slope(), inverse()), dot()), -0.5),
  };
};

/**
 * Statistics of the batch: dX = scale · (var + ε)^−½ · (dY − mean(dY) − x̂ · mean(dY · x̂)).
 * The part in x̂ is itself a normalization of X with another scale and offset, so one BatchNormalization writes it in one pass.
 * Source: Ioffe & Szegedy 2015, arXiv:1502.03167, §3.
 */
const batchStatistics: GradientRule<"BatchNormalization"> = (context) => {
  firstOutputOnly(context);
  const { emit, attributes, dY, inputs } = context;
  const { X, scale } = inputs;
  const epsilon = attributes.float("epsilon", 1e-5);
  const [mean, variance] = statisticsOf(context);
  const inverse = once(() => inverseDeviation(emit, variance, epsilon));
  const { sum, dot } = channelSums(emit, X, dY, mean, inverse);
  return {
    X: () => {
      const slope = emit.mul(scale, inverse());
      const perElement = emit.div(slope, -(sizeOf(X.dims) / X.dims[1]!));
      const affine = [emit.mul(perElement, dot()), emit.mul(perElement, sum())];
      const [correction] = emit.node("BatchNormalization", [X, ...affine, mean, variance], {
        epsilon: attr.float(epsilon),
      });
      return emit.add(emit.mul(dY, emit.perChannel(slope, X.dims.length)), correction);
    },
    scale: dot,
    B: sum,
    input_mean: null, // the statistics given do not reach Y in this mode
    input_var: null,
  };
};

/** Batch mean and variance [C]: outputs 1 and 2 of the node when nothing is mixed into them (momentum 0), else computed again. */
function statisticsOf({
  emit,
  attributes,
  inputs: { X },
  outputs,
}: GradientContext<"BatchNormalization">): readonly [Val, Val] {
  const [, mean, variance] = outputs;
  if (attributes.float("momentum", 0.9) === 0 && mean && variance) return [mean, variance];
  const axes = X.dims.flatMap((_, i) => (i === 1 ? [] : [i]));
  const batchMean = emit.reduceMean(X, axes);
  const centred = emit.sub(X, emit.perChannel(batchMean, X.dims.length));
  return [batchMean, emit.reduceMean(emit.mul(centred, centred), axes)];
}

interface Standardized {
  readonly normalized: () => Val;
  /** dX for a gradient with respect to the normalized value. */
  readonly backward: (gradient: Val) => Val;
}

/** X − mean and (var + ε)^−½ over some axes, which are kept as 1. */
interface Moments {
  readonly centred: () => Val;
  readonly inverse: () => Val;
}

function momentsOf(emit: Emitter, X: Val, axes: readonly number[], epsilon: number): Moments {
  const centred = once(() => emit.sub(X, emit.reduceMean(X, axes, true)));
  const inverse = once(() =>
    inverseDeviation(emit, emit.reduceMean(emit.mul(centred(), centred()), axes, true), epsilon),
  );
  return { centred, inverse };
}

/** x̂ = (X − mean) · (var + ε)^−½ over some axes, and its gradient: (var + ε)^−½ · (g − mean(g) − x̂ · mean(g · x̂)). */
function standardize(emit: Emitter, axes: readonly number[], { centred, inverse }: Moments): Standardized {
  const normalized = once(() => emit.mul(centred(), inverse()));
  return {
    normalized,
    backward: (gradient) => {
      const along = emit.mul(normalized(), emit.reduceMean(emit.mul(gradient, normalized()), axes, true));
      const rest = emit.sub(emit.sub(gradient, emit.reduceMean(gradient, axes, true)), along);
      return emit.mul(inverse(), rest);
    },
  };
}

export const instanceNormalization: GradientRule<"InstanceNormalization"> = ({
  emit,
  attributes,
  dY,
  inputs: { input, scale },
}) => {
  const axes = input.dims.flatMap((_, i) => (i > 1 ? [i] : []));
  const { normalized, backward } = standardize(
    emit,
    axes,
    momentsOf(emit, input, axes, attributes.float("epsilon", 1e-5)),
  );
  return {
    input: () => backward(emit.mul(dY, emit.perChannel(scale, input.dims.length))),
    scale: () => emit.sumToChannel(emit.mul(dY, normalized())),
    B: () => emit.sumToChannel(dY),
  };
};

/** Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450. */
export const layerNormalization: GradientRule<"LayerNormalization"> = (context) => {
  firstOutputOnly(context);
  const { emit, attributes, dY, inputs, outputs } = context;
  const { X, Scale } = inputs;
  const first = normalizeAxis(attributes.int("axis", -1), X.dims.length);
  const axes = X.dims.flatMap((_, i) => (i >= first ? [i] : []));
  const [, mean, inverse] = outputs;
  const moments =
    mean && inverse
      ? { centred: once(() => emit.sub(X, emit.cast(mean, X.dtype))), inverse: () => emit.cast(inverse, X.dtype) }
      : momentsOf(emit, X, axes, attributes.float("epsilon", 1e-5));
  const { normalized, backward } = standardize(emit, axes, moments);
  return {
    X: () => backward(emit.mul(dY, Scale)),
    Scale: () => emit.mul(dY, normalized()),
    B: () => dY,
  };
};

/**
 * Groups of channels are rows of one matrix. Shapes: X [N, C, …] ↔ [N, groups, C/groups · …].
 * Source: Wu & He 2018, arXiv:1803.08494.
 */
export const groupNormalization: GradientRule<"GroupNormalization"> = ({ emit, attributes, dY, inputs }) => {
  const { X, scale } = inputs;
  const groups = attributes.int("num_groups", 1);
  const [images, channels] = X.dims as [number, number];
  const rows = [images, groups, sizeOf(X.dims) / (images * groups)];
  const flat = emit.reshape(X, rows);
  const moments = momentsOf(emit, flat, [2], attributes.float("epsilon", 1e-5));
  const { normalized, backward } = standardize(emit, [2], moments);
  // Before opset 21 the channels of a group share their scale: they are stretched over them, and their gradients summed.
  const shared = channels / scale.dims[0]!;
  const stretch = (a: Val): Val =>
    shared === 1 ? a : emit.reshape(emit.expand(emit.reshape(a, [groups, 1]), [groups, shared]), [channels]);
  const gather = (a: Val): Val => (shared === 1 ? a : emit.reduceSum(emit.reshape(a, [groups, shared]), [1]));
  const perChannel = (a: Val): Val => emit.perChannel(stretch(a), X.dims.length);
  return {
    X: () => emit.reshape(backward(emit.reshape(emit.mul(dY, perChannel(scale)), rows)), X.dims),
    scale: () => gather(emit.sumToChannel(emit.mul(dY, emit.reshape(normalized(), X.dims)))),
    bias: () => gather(emit.sumToChannel(dY)),
  };
};

/** (x − mean) / (deviation + 1e−9) is standardization with ε = 1e−18. */
export const meanVarianceNormalization: GradientRule<"MeanVarianceNormalization"> = ({
  emit,
  attributes,
  dY,
  inputs: { X },
}) => ({
  X: () => {
    const axes = (attributes.ints("axes") ?? [0, 2, 3]).map((axis) => normalizeAxis(axis, X.dims.length));
    return standardize(emit, axes, momentsOf(emit, X, axes, 1e-18)).backward(dY);
  },
});

/** y = x/‖x‖: (dY − ∂‖x‖/∂x · Σ dY · y)/‖x‖, where ∂‖x‖/∂x is y for the Euclidean norm and sign x for the sum norm. */
export const lpNormalization: GradientRule<"LpNormalization"> = ({
  emit,
  attributes,
  dY,
  inputs: { input },
  outputs,
}) => ({
  input: () => {
    const axes = [normalizeAxis(attributes.int("axis", -1), input.dims.length)];
    const isSum = attributes.int("p", 2) === 1;
    const sizes = isSum ? emit.abs(input) : emit.mul(input, input);
    const total = emit.reduceSum(sizes, axes, true);
    const norm = isSum ? total : emit.sqrt(total);
    const along = emit.mul(
      isSum ? emit.sign(input) : outputs[0]!,
      emit.reduceSum(emit.mul(dY, outputs[0]!), axes, true),
    );
    return emit.div(emit.sub(dY, along), emit.where(emit.equal(norm, 0), emit.scalar(1, norm), norm));
  },
});

/**
 * Y = X · D^−β with D = bias + α/size · Σ X² over a window of channels. A channel c sees the window of each channel
 * that it lies in, so the sum in dX runs over the mirrored window:
 * dX = dY · D^−β − 2αβ/size · X · Σ' dY · X · D^(−β−1).
 * Source: Krizhevsky et al. 2012, §3.3.
 */
export const lrn: GradientRule<"LRN"> = ({ emit, attributes, dY, inputs: { X }, outputs }) => ({
  X: () => {
    const size = attributes.int("size", 1);
    const alpha = attributes.float("alpha", 1e-4);
    const beta = attributes.float("beta", 0.75);
    const before = Math.floor((size - 1) / 2);
    const after = size - 1 - before;
    const squares = channelWindowSum(emit, emit.mul(X, X), before, after);
    const denominator = emit.add(emit.mul(squares, alpha / size), attributes.float("bias", 1));
    // Y = X · D^−β, so dY · X · D^(−β−1) = dY · Y / D.
    const shared = channelWindowSum(emit, emit.div(emit.mul(dY, outputs[0]!), denominator), after, before);
    return emit.sub(
      emit.mul(dY, emit.pow(denominator, -beta)),
      emit.mul(emit.mul(X, shared), (2 * alpha * beta) / size),
    );
  },
});

/** Sum over channels c − before … c + after. */
function channelWindowSum(emit: Emitter, a: Val, before: number, after: number): Val {
  const channels = a.dims[1]!;
  const rest = Array<number>(a.dims.length - 2).fill(0);
  const padded = emit.pad(a, [0, before, ...rest, 0, after, ...rest]);
  const shifts = Array.from({ length: before + after + 1 }, (_, i) => emit.slice(padded, [1], [i], [i + channels]));
  return shifts.length === 1 ? shifts[0]! : emit.node("Sum", shifts)[0];
}
