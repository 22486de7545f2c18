import type { Tensor } from "../../base/index.js";
import { attr, type TensorType } from "../ir/index.js";
import type { Emitter, Val } from "../ops/index.js";

/** What a loss compares the output with: nothing, class indices (int64, the output's shape without axis 1) or an array shaped like the output. */
export type Targets = "none" | "labels" | "values";

/** A forward pass of the model inside of a step. */
export interface ForwardPass {
  /** The model's output, classes on axis 1. Shapes: [N, K] for classification, [N, K, H, W] for segmentation. */
  readonly output: Val;
  /** Any value of the model in this pass, by its name there: the features in front of the classifier, say. */
  value(name: string): Val;
}

/** A parameter that trains, for penalties. */
export interface TrainedParameter {
  readonly name: string;
  /** All of it, at the values of this pass; gradients reach the rows that train. */
  readonly value: Val;
  /** As it was at the start. */
  readonly source: Val;
}

/** An array that a loss carries from step to step. */
export interface Carried {
  readonly before: Val;
  /** Says what it is after the step. */
  next(after: Val): void;
}

export interface LossContext extends ForwardPass {
  readonly emit: Emitter;
  /** Present unless `targets` is "none". */
  readonly targets: Val | undefined;
  /** The output before the weights were moved, where a gradient rule asks for the loss at other weights (`sharpnessAware`). */
  readonly unperturbed: Val | undefined;
  readonly parameters: readonly TrainedParameter[];
  /** An array that begins as `initial` and is the loss's own to change. A refused step leaves it as it was. */
  carry(name: string, initial: Tensor): Carried;
  /** A further input of the step. */
  input(name: string, type: TensorType & { readonly dims: readonly number[] }): Val;
  /**
   * A further pass over as many images, an input of the step named `images`: with the weights of this pass and statistics of
   * its own batch, or those of the start, which stay frozen, with the stored statistics. `instead` puts other values in the
   * place of some of the model's, by their names.
   */
  pass(images: string, weights?: "current" | "source", instead?: ReadonlyMap<string, Val>): ForwardPass;
  /** Reports a value that the loss computes, beside the loss. */
  measure(name: string, value: Val): void;
  /** Leaves the update out where the condition does not hold; statistics and carried arrays go on. Shapes: bool []. */
  onlyIf(condition: Val): void;
}

/** A loss is declared by what it needs and how it writes itself; the result is a scalar. Units: nats, unless said. */
export interface Loss {
  readonly name: string;
  readonly targets: Targets;
  /** The label of places that do not count, if there is one; it need not be a class. */
  readonly ignoredLabel?: number;
  build(context: LossContext): Val;
}

/** Σ_k q_k log p_k for each sample, or each pixel. Shapes: [N, K, …] → [N, …]. */
export function logLikelihoods(emit: Emitter, q: Val, logits: Val): Val {
  return emit.reduceSum(emit.mul(q, emit.logSoftmax(logits, 1)), [1]);
}

/** Ones at the labels, on axis 1. Shapes: [N, …] → [N, K, …]. */
export function oneHot(emit: Emitter, labels: Val, like: Val, off: number, on: number): Val {
  const values = emit.concat(
    [off, on].map((v) => emit.reshape(emit.scalar(v, like), [1])),
    0,
  );
  return emit.node("OneHot", [labels, emit.ints([like.dims[1]!]), values], { axis: attr.int(1) })[0];
}

/** Mean over the places whose label counts; 0 where none does. Differs: `torch.nn.CrossEntropyLoss` gives NaN for none. */
function meanCounted(emit: Emitter, values: Val, labels: Val, ignored: number): Val {
  const counts = emit.cast(emit.node("Not", [emit.equal(labels, emit.ints([ignored]))])[0], values.dtype);
  return emit.div(emit.sumAll(emit.mul(values, counts)), emit.max(emit.sumAll(counts), 1));
}

/**
 * Cross-entropy against class indices, with label smoothing ε: q = (1-ε)·onehot + ε/K; the mean over samples and pixels.
 * Shapes: output [N, K] with labels [N], or a class per pixel: [N, K, H, W] with [N, H, W].
 * Source: Szegedy et al. 2016, arXiv:1512.00567, §7; the same numbers as `torch.nn.CrossEntropyLoss`.
 */
export const crossEntropy = (options: { smoothing?: number; ignoredLabel?: number } = {}): Loss => ({
  name: "cross-entropy",
  targets: "labels",
  ...(options.ignoredLabel !== undefined && { ignoredLabel: options.ignoredLabel }),
  build({ emit, output, targets }) {
    const floor = (options.smoothing ?? 0) / output.dims[1]!;
    const q = oneHot(emit, targets!, output, floor, 1 - (options.smoothing ?? 0) + floor);
    const each = logLikelihoods(emit, q, output);
    const { ignoredLabel } = options;
    return emit.neg(ignoredLabel === undefined ? emit.meanAll(each) : meanCounted(emit, each, targets!, ignoredLabel));
  },
});

/** Cross-entropy against a distribution per sample or pixel, such as a teacher's probabilities. Shapes: targets as the output. */
export const softCrossEntropy: Loss = {
  name: "soft-cross-entropy",
  targets: "values",
  build: ({ emit, output, targets }) => emit.neg(emit.meanAll(logLikelihoods(emit, targets!, output))),
};

/** -Σ p log p of the prediction for each sample, or each pixel. Shapes: [N, K, …] → [N, …]. Units: nats. */
export const entropies = (emit: Emitter, logits: Val): Val =>
  emit.neg(logLikelihoods(emit, emit.softmax(logits, 1), logits));

/** Mean entropy of the predictions, -Σ p log p. Source: Tent, Wang et al. 2021, §3. */
export const entropy: Loss = {
  name: "entropy",
  targets: "none",
  build: ({ emit, output }) => emit.neg(emit.meanAll(logLikelihoods(emit, emit.softmax(output, 1), output))),
};

/**
 * Information maximisation: mean_i H(p_i) - H(mean_i p_i), with log(p + ε).
 * Source: SHOT, Liang et al. 2020, arXiv:2002.08546, eq. 3. ε = 1e-5 as in the authors' code.
 */
export const informationMaximisation = (options: { epsilon?: number } = {}): Loss => ({
  name: "information-maximisation",
  targets: "none",
  build({ emit, output }) {
    const negativeEntropy = (p: Val, axis: number): Val =>
      emit.reduceSum(emit.mul(p, emit.log(emit.add(p, options.epsilon ?? 1e-5))), [axis]);
    const p = emit.softmax(output, 1);
    const each = emit.meanAll(negativeEntropy(p, 1));
    const places = p.dims.flatMap((_, i) => (i === 1 ? [] : [i]));
    return emit.sub(negativeEntropy(emit.reduceMean(p, places), 0), each);
  },
});

/** Mean squared error over every element. Shapes: targets as the output. */
export const meanSquaredError: Loss = {
  name: "mean-squared-error",
  targets: "values",
  build({ emit, output, targets }) {
    const difference = emit.sub(output, targets!);
    return emit.meanAll(emit.mul(difference, difference));
  },
};
