import { zeros } from "../base/index.js";
import { type Loss, type Model, outputAxisOf, parametersOf } from "../graph/index.js";

export interface AffineOptions {
  /** λ of the pull. */
  readonly weight: number;
  /** The weights that are pulled, each with the axis of its filters; see `filterAxes`. */
  readonly axes: ReadonlyMap<string, number>;
  /** Of the scalars. Default 0.1. */
  readonly learningRate?: number | undefined;
}

/** The axis of the filters of every weight of a model but those named. */
export const filterAxes = (model: Model, except: ReadonlySet<string>): ReadonlyMap<string, number> =>
  new Map(
    parametersOf(model).flatMap(({ name, role }) =>
      role === "weight" && !except.has(name) ? [[name, outputAxisOf(model.graph, name)] as const] : [],
    ),
  );

/**
 * A loss that also keeps weights near what they were, up to an affine map: + λ·Σ‖a⊙θ + b - θ₀‖², where each filter has an a and a b,
 * 0 at the start. These follow their own gradients, 2λ·Σrθ and 2λ·Σr with r = a⊙θ + b - θ₀, as arrays that the loss carries.
 *
 * Source: the offline training of ElasticDNN's authors, where λ = 5e-4.
 */
export const affine = (loss: Loss, { weight, axes, learningRate = 0.1 }: AffineOptions): Loss => ({
  ...loss,
  name: `affine ${loss.name}`,
  build(context) {
    const { emit, carry } = context;
    const pulls = context.parameters.flatMap(({ name, value, source }) => {
      const axis = axes.get(name);
      if (axis === undefined) return [];
      const others = value.dims.flatMap((_, i) => (i === axis ? [] : [i]));
      const start = zeros(
        value.dtype,
        value.dims.map((size, i) => (i === axis ? size : 1)),
      );
      const [scale, shift] = [carry(`affine scale:${name}`, start), carry(`affine shift:${name}`, start)];
      const residual = emit.sub(emit.add(emit.mul(value, scale.before), shift.before), source);
      const known = emit.detach(residual);
      const descend = (before: typeof value, gradient: typeof value): typeof value =>
        emit.sub(before, emit.mul(emit.reduceSum(gradient, others, true), 2 * weight * learningRate));
      scale.next(descend(scale.before, emit.mul(known, emit.detach(value))));
      shift.next(descend(shift.before, known));
      return [emit.sumAll(emit.mul(residual, residual))];
    });
    const own = loss.build(context);
    const pull =
      pulls.length > 0 &&
      emit.mul(
        pulls.reduce((a, b) => emit.add(a, b)),
        weight,
      );
    return pull ? emit.add(own, pull) : own;
  },
});
