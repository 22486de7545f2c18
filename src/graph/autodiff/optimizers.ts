import type { Emitter, Val } from "../ops/index.js";

export interface UpdateContext {
  readonly emit: Emitter;
  readonly parameter: Val;
  /** The parameter at the start of training, a constant. */
  readonly source: Val;
  readonly gradient: Val;
  /** The optimizer's own arrays for this parameter, by the names in `buffers`. */
  readonly buffers: Readonly<Record<string, Val>>;
  readonly learningRate: Val;
  /** 1 in the first step. */
  readonly stepCount: Val;
  /** A further input of the step, shaped like the parameter and fed as `name:parameter`. */
  input(name: string): Val;
}

export interface Update {
  /** What the parameter becomes. */
  readonly parameter: Val;
  readonly buffers: Readonly<Record<string, Val>>;
}

/** An optimizer writes one update per parameter into the graph; its arrays travel through the step like weights. */
export interface Optimizer {
  readonly name: string;
  /** Arrays kept per parameter, shaped like it, zero at the start unless `copies` names them. */
  readonly buffers: readonly string[];
  /** Of the buffers, those that start as the parameter. */
  readonly copies?: readonly string[];
  update(context: UpdateContext): Update;
}

export interface SgdOptions {
  readonly momentum?: number;
  readonly nesterov?: boolean;
  readonly weightDecay?: number;
}

/**
 * Stochastic gradient descent: b ← μ·b + g + λθ; θ ← θ - η·b, or θ - η·(g + λθ + μ·b) with Nesterov.
 * Source: Sutskever et al. 2013; conventions of `torch.optim.SGD` with dampening 0.
 */
export function sgd({ momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions = {}): Optimizer {
  return {
    name: "sgd",
    buffers: momentum === 0 ? [] : ["momentum"],
    update({ emit, parameter, gradient, buffers, learningRate }) {
      const decayed = weightDecay === 0 ? gradient : emit.add(gradient, emit.mul(parameter, weightDecay));
      const descend = (direction: Val): Val => emit.add(parameter, emit.mul(direction, emit.neg(learningRate)));
      if (!buffers.momentum) return { parameter: descend(decayed), buffers: {} };
      const velocity = emit.add(emit.mul(buffers.momentum, momentum), decayed);
      const direction = nesterov ? emit.add(decayed, emit.mul(velocity, momentum)) : velocity;
      return { parameter: descend(direction), buffers: { momentum: velocity } };
    },
  };
}

export interface AdamOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
}

/**
 * Adam: m ← β₁m + (1-β₁)g; v ← β₂v + (1-β₂)g²; θ ← θ - η·m̂ / (√v̂ + ε), bias-corrected; weight decay joins the gradient.
 * Source: Kingma & Ba 2015, arXiv:1412.6980; ε = 1e-8 outside of the root, as in `torch.optim.Adam`.
 */
export const adam = (options: AdamOptions = {}): Optimizer => adamLike("adam", options, false);

/** AdamW: Adam with weight decay apart from the gradient, θ ← θ - ηλθ - … Source: Loshchilov & Hutter 2019, arXiv:1711.05101. */
export const adamW = ({ weightDecay = 0.01, ...rest }: AdamOptions = {}): Optimizer =>
  adamLike("adamw", { ...rest, weightDecay }, true);

function adamLike(name: string, options: AdamOptions, decoupled: boolean): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
  return {
    name,
    buffers: ["mean", "square"],
    update({ emit, parameter, gradient, buffers, learningRate, stepCount }) {
      const decay = emit.mul(parameter, weightDecay);
      const g = weightDecay === 0 || decoupled ? gradient : emit.add(gradient, decay);
      const blend = (old: Val, fresh: Val, beta: number): Val =>
        emit.add(emit.mul(old, beta), emit.mul(fresh, 1 - beta));
      const mean = blend(buffers.mean!, g, beta1);
      const square = blend(buffers.square!, emit.mul(g, g), beta2);
      const correction = (beta: number): Val => emit.sub(emit.scalar(1, g), emit.pow(emit.scalar(beta, g), stepCount));
      const root = emit.add(emit.div(emit.sqrt(square), emit.sqrt(correction(beta2))), epsilon);
      const rate = emit.neg(learningRate);
      const step = emit.mul(emit.div(mean, root), emit.div(rate, correction(beta1)));
      const total = decoupled && weightDecay !== 0 ? emit.add(step, emit.mul(decay, rate)) : step;
      return { parameter: emit.add(parameter, total), buffers: { mean, square } };
    },
  };
}

/** Plain descent that sums the squares of the gradients in `importance`; at a learning rate of 0 it only measures. */
export const sumSquaredGradients: Optimizer = {
  name: "sum-squared-gradients",
  buffers: ["importance"],
  update: ({ emit, parameter, gradient, buffers, learningRate }) => ({
    parameter: emit.sub(parameter, emit.mul(gradient, learningRate)),
    buffers: { importance: emit.add(buffers.importance!, emit.mul(gradient, gradient)) },
  }),
};
