import { attr } from "../../ir/index.js";
import type { Axis } from "./labels.js";
import type { ChannelContext, ChannelRule, RewriteContext, SizedRule } from "./rule.js";

/** An output that keeps batch and channels and has pixels of its own. */
const withPixels = ({ labels, sizes }: ChannelContext, output: number, batch: Axis, channels: Axis): Axis[] => [
  batch,
  channels,
  ...(sizes[output] ?? []).slice(2).map((size) => labels.fixed(size)),
];

/**
 * Channels are groups times what each group holds: one rule for dense (one group), grouped and depthwise convolutions (one channel a group).
 * Shapes: X [N, G·I, …], W [G·O, I, …kernel], B [G·O], Y [N, G·O, …].
 */
const traceConv: ChannelRule = (context) => {
  const { labels, axes, attributes } = context;
  const [batch, channels, ...pixels] = axes(0) as [Axis, Axis, ...Axis[]];
  const [rows, columns, ...kernel] = axes(1) as [Axis, Axis, ...Axis[]];
  const group = attributes.int("group", 1);
  const groups = labels.fresh(group);
  labels.product(channels, [groups, columns]);
  labels.product(rows, [groups, labels.fresh(rows.length / group)]);
  for (const bias of axes(2)) labels.same(rows, bias);
  context.consume(1, columns);
  context.ignore([...pixels, ...kernel]);
  return [withPixels(context, 0, batch, rows)];
};

/** Shapes: X [N, G·I, …], W [G·I, O, …kernel], B [G·O], Y [N, G·O, …]. */
const traceConvTranspose: ChannelRule = (context) => {
  const { labels, axes, attributes } = context;
  const [batch, channels, ...pixels] = axes(0) as [Axis, Axis, ...Axis[]];
  const [rows, columns, ...kernel] = axes(1) as [Axis, Axis, ...Axis[]];
  const group = attributes.int("group", 1);
  const groups = labels.fresh(group);
  labels.same(channels, rows);
  labels.product(rows, [groups, labels.fresh(rows.length / group)]);
  const outputs = group === 1 ? columns : labels.fresh(group * columns.length);
  labels.product(outputs, [groups, columns]);
  for (const bias of axes(2)) labels.same(outputs, bias);
  context.consume(1, rows);
  context.ignore([...pixels, ...kernel]);
  return [withPixels(context, 0, batch, outputs)];
};

/** As many groups as are left: what is left of the channels over what is left of one group. */
const countGroups =
  (channels: (context: RewriteContext) => Axis) =>
  (context: RewriteContext): ReturnType<SizedRule["rewrite"]> => {
    const perGroup = context.kept(context.axes(1)[1]!).length;
    return context.attributes.has("group")
      ? { attributes: { group: attr.int(context.kept(channels(context)).length / perGroup) } }
      : {};
  };

export const conv: SizedRule = { trace: traceConv, rewrite: countGroups(({ axes }) => axes(0)[1]!) };
export const convTranspose: SizedRule = {
  trace: traceConvTranspose,
  rewrite: countGroups(({ outputs }) => outputs(0)[1]!),
};

/** Windows slide over pixels, channel by channel. */
export const pool: ChannelRule = (context) => {
  const [batch, channels, ...pixels] = context.axes(0) as [Axis, Axis, ...Axis[]];
  context.ignore(pixels);
  if (context.node.outputs[1])
    for (const axis of [batch, channels]) context.freeze(axis, "numbers positions across channels");
  return context.node.outputs.map((_, i) => withPixels(context, i, batch, channels));
};
