import { attr } from "../../ir/index.js";
import { parseEinsum } from "../einsum.js";
import { normalizeAxis } from "../geometry.js";
import { broadcastAxes } from "./elementwise.js";
import type { Axis } from "./labels.js";
import type { ChannelContext, ChannelRule, SizedRule } from "./rule.js";

/** Ties the axes that a product sums over. */
function contract({ labels, consume }: ChannelContext, a: Axis, b: Axis): void {
  labels.same(a, b);
  consume(0, a);
  consume(1, b);
}

/** Shapes: A [M, K] and B [K, N], or transposed; C broadcasts to [M, N]. */
export const gemm: ChannelRule = (context) => {
  const { labels, axes, attributes } = context;
  const [a, b] = [0, 1].map((i) =>
    attributes.int(i === 0 ? "transA" : "transB", 0) === 0 ? axes(i) : [...axes(i)].reverse(),
  ) as [readonly Axis[], readonly Axis[]];
  contract(context, a[1]!, b[0]!);
  const result = [a[0]!, b[1]!];
  if (axes(2).length > 0) broadcastAxes(labels, [result, axes(2)]);
  return [result];
};

/** Shapes: A […, M, K], B […, K, N]; a vector stands for one row or column. */
export const matMul: ChannelRule = (context) => {
  const { labels, axes, attributes } = context;
  const [a, b] = [axes(0), axes(1)];
  const [left, right] = [
    attributes.int("transA", 0) === 1 && a.length > 1 ? exchangeLast(a) : a,
    attributes.int("transB", 0) === 1 && b.length > 1 ? exchangeLast(b) : b,
  ];
  const sum = right.length === 1 ? right[0]! : right.at(-2)!;
  contract(context, left.at(-1)!, sum);
  return [
    [
      ...broadcastAxes(labels, [left.slice(0, -2), right.slice(0, -2)]),
      ...(left.length === 1 ? [] : [left.at(-2)!]),
      ...(right.length === 1 ? [] : [right.at(-1)!]),
    ],
  ];
};

const exchangeLast = (axes: readonly Axis[]): readonly Axis[] => [...axes.slice(0, -2), axes.at(-1)!, axes.at(-2)!];

export const fusedMatMul: ChannelRule = (context) => {
  const { attributes, axes, labels, sizes } = context;
  if (attributes.int("transBatchA", 0) === 0 && attributes.int("transBatchB", 0) === 0) return matMul(context);
  for (const axis of [...axes(0), ...axes(1)]) context.freeze(axis, "exchanges axes of its batch");
  return [sizes[0]!.map((size) => labels.fixed(size))];
};

/** One number of each further input per channel; in the training form statistics are over all other axes. */
export const batchNormalization: ChannelRule = (context) =>
  perChannel(context, context.attributes.int("training_mode", 0) === 1 ? [0] : undefined);

/** One number of each further input per channel; statistics are over the pixels. */
export const instanceNormalization: ChannelRule = (context) => perChannel(context, []);

/** `mixed`: axes beside those of the pixels that statistics are taken over; none at all when undefined. */
function perChannel(context: ChannelContext, mixed: readonly number[] | undefined): (readonly Axis[])[] {
  const { labels, axes, node } = context;
  const channels = axes(0)[1]!;
  node.inputs.slice(1).forEach((_, i) => {
    for (const axis of axes(i + 1)) labels.same(channels, axis);
  });
  axes(0).forEach((axis, i) => {
    if (mixed && (i > 1 || mixed.includes(i))) context.freeze(axis, "normalizes over it");
  });
  return node.outputs.map((_, i) => (i === 0 ? axes(0) : [channels]));
}

/** Statistics are over the last axes: removing a position would change those of the others. */
export const layerNormalization: ChannelRule = (context) => {
  const { labels, axes, attributes, node, sizes } = context;
  const first = normalizeAxis(attributes.int("axis", -1), axes(0).length);
  for (const axis of axes(0).slice(first)) context.freeze(axis, "normalizes over it");
  broadcastAxes(labels, [axes(0), axes(1)]);
  if (axes(2).length > 0) broadcastAxes(labels, [axes(0), axes(2)]);
  return node.outputs.map((_, i) =>
    i === 0 ? axes(0) : axes(0).map((axis, k) => (k < first ? axis : labels.fixed(sizes[i]?.[k] ?? 1))),
  );
};

/** The axis of the attribute stays whole, because its positions depend on each other; the output has it as it was. */
export const mixesAxis =
  (why: string, fallback: number): ChannelRule =>
  (context) => {
    const [axes, given] = [context.axes(0), context.attributes.int("axis", fallback)];
    context.freeze(axes[normalizeAxis(given, axes.length)]!, why);
    return context.node.outputs.map(() => axes);
  };

/** Groups of channels can go, single ones not. Shapes: X [N, G·I, …]; scale and bias [G] before opset 21, then [G·I]. */
export const groupNormalization: SizedRule = {
  trace(context) {
    const { labels, axes, attributes, opset } = context;
    const channels = axes(0)[1]!;
    const count = attributes.int("num_groups", 1);
    const [groups, within] = [labels.fresh(count), labels.fresh(channels.length / count)];
    labels.product(channels, [groups, within]);
    context.freeze(within, "normalizes over it");
    for (const axis of [...axes(1), ...axes(2)]) labels.same(opset < 21 ? groups : channels, axis);
    context.ignore(axes(0).slice(2));
    return [axes(0)];
  },
  rewrite({ axes, attributes, kept }) {
    const channels = axes(0)[1]!;
    const share = kept(channels).length / channels.length;
    return { attributes: { num_groups: attr.int(Math.round(share * attributes.int("num_groups", 1))) } };
  },
};

/** Statistics are over the axes of the attribute. */
export const meanVariance: ChannelRule = (context) => {
  const data = context.axes(0);
  for (const axis of context.attributes.ints("axes") ?? [0, 2, 3])
    context.freeze(data[normalizeAxis(axis, data.length)]!, "normalizes over it");
  return [data];
};

/** Channels are compared with their neighbours. */
export const localResponse: ChannelRule = (context) => {
  context.freeze(context.axes(0)[1]!, "compares neighbouring channels");
  return [context.axes(0)];
};

/** Axes named by the attribute or input `axes` vanish, or stay with size 1. */
export const reduce: ChannelRule = (context) => {
  const { attributes, constant, axes, labels, node, sizes } = context;
  const data = axes(0);
  const given = attributes.ints("axes") ?? (node.inputs[1] ? constant(1) : []);
  const none = given?.length === 0;
  if (none && attributes.int("noop_with_empty_axes", 0) === 1) return [data];
  const reduced = given && (none ? data.map((_, i) => i) : given.map((axis) => normalizeAxis(axis, data.length)));
  data.forEach((axis, i) => {
    if (!reduced || reduced.includes(i)) context.freeze(axis, "sums over it");
  });
  if (!reduced) return [sizes[0]!.map((size) => labels.fixed(size))];
  const keep = attributes.int("keepdims", 1) === 1;
  return [data.flatMap((axis, i) => (!reduced.includes(i) ? [axis] : keep ? [labels.fixed(1)] : []))];
};

/** The same for ops with one axis as attribute. */
export const reduceOne: ChannelRule = (context) => {
  const { attributes, axes, labels } = context;
  const reduced = normalizeAxis(attributes.int("axis", 0), axes(0).length);
  context.freeze(axes(0)[reduced]!, "compares along it");
  const keep = attributes.int("keepdims", 1) === 1;
  return [axes(0).flatMap((axis, i) => (i !== reduced ? [axis] : keep ? [labels.fixed(1)] : []))];
};

/** Equal labels run side by side; those that the result lacks are summed over. */
export const einsum: ChannelRule = (context) => {
  const { labels, axes, attributes, node } = context;
  const inputs = node.inputs.map((_, i) => axes(i));
  const equation = parseEinsum(
    attributes.string("equation", ""),
    inputs.map(({ length }) => length),
  );
  const along = (label: string): { input: number; axis: Axis }[] =>
    equation.operands.flatMap((operand, input) =>
      inputs[input]!.flatMap((axis, k) => (operand[k] === label ? [{ input, axis }] : [])),
    );
  for (const label of new Set(equation.operands.flat())) {
    const parallel = along(label);
    broadcastAxes(
      labels,
      parallel.map(({ axis }) => [axis]),
    );
    if (equation.result.includes(label)) continue;
    for (const { input, axis } of parallel) {
      if (parallel.length === 1) context.freeze(axis, "sums over it");
      context.consume(input, axis);
    }
  }
  return [equation.result.map((label) => along(label).reduce((a, b) => (b.axis.length > a.axis.length ? b : a)).axis)];
};
