import type { Optimizer } from "./optimizers.js";

/** Under which name a teacher's weights are kept. */
export const TEACHER = "teacher";

/**
 * An optimizer that also keeps a moving average of each parameter, the teacher: t ← d·t + (1-d)·θ, from the parameter as updated.
 * Source: Tarvainen & Valpola 2017, arXiv:1703.01780, eq. 2.
 */
export const averaged = (inner: Optimizer, { decay }: { readonly decay: number }): Optimizer => ({
  ...inner,
  name: `averaged ${inner.name}`,
  buffers: [...inner.buffers, TEACHER],
  copies: [...(inner.copies ?? []), TEACHER],
  update(context) {
    const { emit, buffers } = context;
    const { parameter, buffers: next } = inner.update(context);
    const teacher = emit.add(emit.mul(buffers[TEACHER]!, decay), emit.mul(parameter, 1 - decay));
    return { parameter, buffers: { ...next, [TEACHER]: teacher } };
  },
});

/**
 * An optimizer after which numbers of the parameter go back to where they started, wherever the input `restore:NAME` of the step is
 * not 0. Averages of `inner` see the parameter before that.
 * Source: CoTTA, Wang et al. 2022, arXiv:2203.13591, eq. 7-8.
 */
export const restored = (inner: Optimizer): Optimizer => ({
  ...inner,
  name: `restored ${inner.name}`,
  update(context) {
    const { emit, source } = context;
    const { parameter, buffers } = inner.update(context);
    return { parameter: emit.where(emit.greater(context.input("restore"), 0), source, parameter), buffers };
  },
});
