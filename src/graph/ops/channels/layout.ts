import { int64s, tensorOf } from "../../../base/index.js";
import { normalizeAxis, resolveSlice } from "../geometry.js";
import { broadcastAxes } from "./elementwise.js";
import type { Axis, Labels } from "./labels.js";
import { regroup } from "./regroup.js";
import type { ChannelContext, ChannelRule, Rewrite, RewriteContext, SizedRule } from "./rule.js";

const indexed = (length: number): number[] => Array.from({ length }, (_, i) => i);
const join = (parts: readonly Axis[]): Axis => Int32Array.from(parts.flatMap((part) => [...part]));

/** Keeps all axes of the data, and gives outputs that nobody may cut: what a rule does when a setting is not known beforehand. */
function giveUp({ axes, freeze, sizes, labels }: ChannelContext): Axis[][] {
  for (const axis of axes(0)) freeze(axis, "takes a setting that is computed");
  return sizes.map((dims) => dims.map((size) => labels.fixed(size, "its size is computed")));
}

/** An input that lists sizes of the output, the last one last, with the axes that shrink rewritten. */
function resizeList(context: RewriteContext, index: number): Rewrite {
  const list = context.constant(index);
  if (!list) return {};
  const axes = context.outputs(0);
  const sizes = list.map((size, i) => {
    const axis = i - list.length + axes.length;
    const literal = size > 0 || context.isStatic(0, axis);
    return literal && axes[axis]!.length > 1 && size !== 1 ? context.kept(axes[axis]!).length : size;
  });
  return { settings: { [index]: int64s(sizes) } };
}

/** Reshape, Flatten, Unsqueeze, Squeeze: the same elements in the same order. */
export const reshaped: ChannelRule = ({ labels, axes, sizes, node }) => [
  regroup(labels, axes(0), sizes[0]!, `${node.op} "${node.name}" groups it otherwise`),
];

export const reshape: SizedRule = {
  trace: (context) => (context.constant(1) ? reshaped(context) : giveUp(context)),
  rewrite: (context) => resizeList(context, 1),
};

/** Without `axes` every axis of size 1 goes, so those that shrink to 1 have to be told apart from those that were. */
export const squeeze: SizedRule = {
  trace: reshaped,
  rewrite({ axes, node }) {
    if (node.inputs[1]) return {};
    return { settings: { 1: int64s(axes(0).flatMap(({ length }, i) => (length === 1 ? [i] : []))) } };
  },
};

export const transpose: ChannelRule = ({ axes, attributes }) => {
  const order = attributes.ints("perm") ?? indexed(axes(0).length).reverse();
  return [order.map((axis) => axes(0)[axis]!)];
};

export const concat: ChannelRule = ({ labels, axes, attributes, node }) => {
  const operands = node.inputs.map((_, i) => axes(i));
  const along = normalizeAxis(attributes.int("axis", 0), operands[0]!.length);
  return [
    operands[0]!.map((first, i) => {
      const parallel = operands.map((each) => each[i]!);
      if (i === along) return joinKnown(labels, parallel);
      for (const axis of parallel) labels.same(first, axis);
      return first;
    }),
  ];
};

function joinKnown(labels: Labels, parts: readonly Axis[]): Axis {
  if (parts.every((part) => part.length > 0)) return join(parts);
  for (const part of parts) labels.freeze(part, "it is joined to an axis of unknown length");
  return new Int32Array();
}

export const split: SizedRule = {
  trace({ axes, attributes, sizes, node }) {
    const data = axes(0);
    const along = normalizeAxis(attributes.int("axis", 0), data.length);
    let start = 0;
    return node.outputs.map((_, k) => {
      const size = sizes[k]![along]!;
      const part = data[along]!.subarray(start, (start += size));
      return data.map((axis, i) => (i === along ? part : axis));
    });
  },
  rewrite({ node, attributes, axes, outputs, kept }) {
    const along = normalizeAxis(attributes.int("axis", 0), axes(0).length);
    const parts = node.outputs.map((_, k) => kept(outputs(k)[along]!).length);
    return { attributes: { num_outputs: undefined }, settings: { 1: int64s(parts) } };
  },
};

/** The part of each axis that a Slice takes; undefined when it is not known beforehand. */
function slicesOf({ axes, constant, node }: Pick<ChannelContext, "axes" | "constant" | "node">) {
  const [starts, ends] = [constant(1), constant(2)];
  const along = node.inputs[3] ? constant(3) : starts?.map((_, i) => i);
  const steps = node.inputs[4] ? constant(4) : starts?.map(() => 1);
  if (!starts || !ends || !along || !steps) return undefined;
  return along.map((given, i) => {
    const axis = normalizeAxis(given, axes(0).length);
    return { axis, step: steps[i]!, ...resolveSlice(axes(0)[axis]!.length, starts[i]!, ends[i]!, steps[i]!) };
  });
}

/** One position of every run of `step`: what goes takes its whole run along. */
const isStride = (slice: { step: number; start: number; length: number }, data: Axis): boolean =>
  slice.step > 1 && slice.start < slice.step && slice.length * slice.step === data.length;

export const slice: SizedRule = {
  trace(context) {
    const { labels } = context;
    const slices = slicesOf(context);
    if (!slices) return giveUp(context);
    const result = [...context.axes(0)];
    for (const { axis, step, start, length } of slices) {
      const data = result[axis]!;
      if (isStride({ step, start, length }, data)) labels.product(data, [labels.fresh(length), labels.fixed(step)]);
      else if (step !== 1) context.freeze(data, "takes every few of it");
      result[axis] = Int32Array.from({ length }, (_, i) => data[start + i * step]!);
    }
    return [result];
  },
  rewrite(context) {
    const { axes, outputs, kept, constant } = context;
    const slices = slicesOf(context)!;
    const [starts, ends] = [[...constant(1)!], [...constant(2)!]];
    slices.forEach(({ axis, step, start }, i) => {
      const stays = kept(axes(0)[axis]!);
      if (stays.length === axes(0)[axis]!.length) return;
      starts[i] = step === 1 ? stays.filter((position) => position < start).length : start;
      ends[i] = starts[i] + kept(outputs(0)[axis]!).length * step;
    });
    return { settings: { 1: int64s(starts), 2: int64s(ends) } };
  },
};

/** What Pad adds before and after each axis. */
function padsOf({ axes, constant, node }: Pick<ChannelContext, "axes" | "constant" | "node">) {
  const pads = constant(1);
  const along = node.inputs[3] ? constant(3) : axes(0).map((_, i) => i);
  if (!pads || !along) return undefined;
  return along.map((given, i) => ({
    axis: normalizeAxis(given, axes(0).length),
    begin: pads[i]!,
    end: pads[i + along.length]!,
  }));
}

export const pad: SizedRule = {
  trace(context) {
    const { labels, axes, attributes, sizes } = context;
    const pads = padsOf(context);
    if (!pads) return giveUp(context);
    const result = [...axes(0)];
    const constantMode = attributes.string("mode", "constant") === "constant";
    for (const { axis, begin, end } of pads.filter((each) => each.begin !== 0 || each.end !== 0)) {
      const data = result[axis]!;
      const grows = constantMode && begin >= 0 && end >= 0 && data.length > 0;
      if (!grows) context.freeze(data, "continues it with its own values");
      result[axis] =
        grows && !labels.isFixed(data)
          ? join([labels.fresh(begin), data, labels.fresh(end)])
          : labels.fixed(sizes[0]![axis]!);
    }
    return [result];
  },
  rewrite(context) {
    const { axes, outputs, kept } = context;
    const pads = padsOf(context)!;
    const count = (axis: number, from: number, to: number): number => {
      const whole = outputs(0)[axis]!;
      return kept(whole).filter((position) => position >= from && position < to).length;
    };
    const resized = pads.map(({ axis, begin, end }) => {
      const length = axes(0)[axis]!.length;
      if (begin < 0 || end < 0 || outputs(0)[axis]!.length !== begin + length + end) return { begin, end };
      return { begin: count(axis, 0, begin), end: count(axis, begin + length, begin + length + end) };
    });
    return { settings: { 1: int64s([...resized.map((p) => p.begin), ...resized.map((p) => p.end)]) } };
  },
};

export const expand: SizedRule = {
  trace(context) {
    const { labels, axes, sizes, node, constant } = context;
    if (!constant(1)) return giveUp(context);
    const grown = sizes[0]!.map((size, i) => {
      const axis = axes(0)[i - sizes[0]!.length + axes(0).length];
      return axis?.length === size ? axis : labels.fixed(size, `${node.op} "${node.name}" makes copies`);
    });
    return [broadcastAxes(labels, [grown])];
  },
  rewrite: (context) => resizeList(context, 1),
};

export const tile: ChannelRule = (context) => {
  const repeats = context.constant(1);
  if (!repeats) return giveUp(context);
  return [context.axes(0).map((axis, i) => join(Array<Axis>(repeats[i]!).fill(axis)))];
};

/** Positions by number: removed ones lose their number, the others are counted anew. */
export const gather: SizedRule = {
  trace(context) {
    const { axes, attributes, constant, sizes, labels } = context;
    const data = axes(0);
    const along = normalizeAxis(attributes.int("axis", 0), data.length);
    const indices = constant(1);
    const rank = sizes[0]!.length - data.length + 1;
    const list = data[along]!;
    if (!indices || rank > 1 || list.length === 0) context.freeze(list, "picks from it by number");
    const picked = indices?.map((index) => list[index < 0 ? index + list.length : index]!) ?? [];
    if (rank === 0) context.freeze(Int32Array.from(picked), "picks one of it");
    const places =
      rank === 1 && indices && list.length > 0
        ? [Int32Array.from(picked)]
        : sizes[0]!.slice(along, along + rank).map((size) => labels.fixed(size));
    if (!indices) for (const axis of axes(1)) context.ignore([axis]);
    return [[...data.slice(0, along), ...places, ...data.slice(along + 1)]];
  },
  rewrite({ axes, outputs, attributes, constant, kept }) {
    const along = normalizeAxis(attributes.int("axis", 0), axes(0).length);
    const list = axes(0)[along]!;
    const places = new Map(kept(list).map((position, i) => [position, i]));
    const scalar = outputs(0).length < axes(0).length;
    const stays = scalar ? [0] : places.size === list.length ? undefined : kept(outputs(0)[along]!);
    if (!stays || places.size === list.length) return {};
    const numbers = stays.map((i) => {
      const index = constant(1)![i]!;
      return places.get(index < 0 ? index + list.length : index)!;
    });
    return { settings: { 1: tensorOf("int64", scalar ? [] : [numbers.length], numbers) } };
  },
};

/** Shapes: X [N, b·b·C, H, W] to [N, C, H·b, W·b], or X [N, C·b·b, H, W] in the mode CRD. */
export const depthToSpace: ChannelRule = ({ labels, axes, attributes, sizes, ignore }) => {
  const [batch, channels, ...pixels] = axes(0) as [Axis, Axis, ...Axis[]];
  const block = labels.fixed(attributes.int("blocksize", 1));
  const left = labels.fresh(sizes[0]![1]!);
  const blockFirst = attributes.string("mode", "DCR") === "DCR";
  labels.product(channels, blockFirst ? [block, block, left] : [left, block, block]);
  ignore(pixels);
  return [[batch, left, ...sizes[0]!.slice(2).map((size) => labels.fixed(size))]];
};

/** Shapes: X [N, C, H·b, W·b] to [N, b·b·C, H, W]. */
export const spaceToDepth: ChannelRule = ({ labels, axes, attributes, sizes, ignore }) => {
  const [batch, channels, ...pixels] = axes(0) as [Axis, Axis, ...Axis[]];
  const block = labels.fixed(attributes.int("blocksize", 1));
  const whole = labels.fresh(sizes[0]![1]!);
  labels.product(whole, [block, block, channels]);
  ignore(pixels);
  return [[batch, whole, ...sizes[0]!.slice(2).map((size) => labels.fixed(size))]];
};

/** Axes that keep their size pass, others are pixels. */
export const resize: SizedRule = {
  trace({ labels, axes, attributes, sizes, ignore }) {
    const simple =
      attributes.string("coordinate_transformation_mode", "half_pixel") !== "tf_crop_and_resize" &&
      attributes.string("keep_aspect_ratio_policy", "stretch") === "stretch";
    return [
      axes(0).map((axis, i) => {
        const size = sizes[0]![i]!;
        if (simple && size === axis.length && size > 0) return axis;
        ignore([axis]);
        return labels.fixed(size);
      }),
    ];
  },
  rewrite({ axes, attributes, constant, kept }) {
    const sizes = constant(3);
    if (!sizes || sizes.length === 0) return {};
    const along = attributes.ints("axes") ?? indexed(axes(0).length);
    const lists = along.map((axis) => axes(0)[normalizeAxis(axis, axes(0).length)]!);
    const resized = sizes.map((size, i) => (size === lists[i]!.length ? kept(lists[i]!).length : size));
    return { settings: { 3: int64s(resized) } };
  },
};

/** Ops that make values from settings: nobody may cut what they make. */
export const generated: ChannelRule = ({ labels, sizes, node }) =>
  sizes.map((dims) => dims.map((size) => labels.fixed(size, `${node.op} "${node.name}" makes it`)));

/** One number everywhere: any of it can go. */
export const constantOfShape: SizedRule = {
  trace: (context) =>
    context.constant(0)
      ? [context.sizes[0]!.map((size) => (size === 1 ? context.labels.fixed(1) : context.labels.fresh(size)))]
      : generated(context),
  rewrite: (context) => resizeList(context, 0),
};

/** Ops that read the sizes of their input. */
export const readsSize: ChannelRule = (context) => {
  for (const axis of context.axes(0)) context.freeze(axis, "reads its size");
  return generated(context);
};
