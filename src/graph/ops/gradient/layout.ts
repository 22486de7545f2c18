import { sizeOf, tensorOf } from "../../../base/index.js";
import { attr } from "../../ir/index.js";
import type { Emitter, Val } from "../emit.js";
import { normalizeAxis } from "../geometry.js";
import { applyTransposed, rowsFor } from "./axis-map.js";
import type { GradientRule } from "./rule.js";
import { knownInts, type Obstacle, zerosLike } from "./terms.js";

export const reshape: GradientRule<"Reshape"> = ({ emit, dY, inputs: { data } }) => ({
  data: () => emit.reshape(dY, data.dims),
  shape: null,
});
export const flatten: GradientRule<"Flatten"> = ({ emit, dY, inputs: { input } }) => ({
  input: () => emit.reshape(dY, input.dims),
});
export const squeeze: GradientRule<"Squeeze"> & GradientRule<"Unsqueeze"> = ({ emit, dY, inputs: { data } }) => ({
  data: () => emit.reshape(dY, data.dims),
  axes: null,
});

export const transpose: GradientRule<"Transpose"> = ({ emit, attributes, dY }) => ({
  data: () => {
    const perm = attributes.ints("perm") ?? dY.dims.map((_, i) => dY.dims.length - 1 - i);
    return emit.transpose(
      dY,
      perm.map((_, i) => perm.indexOf(i)),
    );
  },
});

export const concat: GradientRule<"Concat"> = ({ emit, attributes, dY, inputs: { inputs } }) => {
  const axis = normalizeAxis(attributes.int("axis", 0), dY.dims.length);
  let end = 0;
  const ends = inputs.map((part) => (end += part.dims[axis]!));
  return { inputs: inputs.map((part, i) => () => emit.slice(dY, [axis], [ends[i]! - part.dims[axis]!], [ends[i]!])) };
};

/** Parts on which the loss does not depend count as zero. */
export const split: GradientRule<"Split"> = ({ emit, attributes, outputs, dOutputs }) => ({
  input: () =>
    emit.concat(
      outputs.map((part, i) => dOutputs[i] ?? zerosLike(emit, part!)),
      attributes.int("axis", 0),
    ),
  split: null,
});

/** Back to the places that were read: turned around for negative steps, spread out for steps above one, then padded with zeros. */
export const slice: GradientRule<"Slice"> = (context) => ({
  data: () => {
    const { emit, dY, inputs } = context;
    const { data, starts, axes, steps } = inputs;
    if (sizeOf(dY.dims) === 0) return zerosLike(emit, data);
    const rank = data.dims.length;
    const first = knownInts(context, "starts", starts);
    const along = (axes ? knownInts(context, "axes", axes) : first.map((_, i) => i)).map((axis) =>
      normalizeAxis(axis, rank),
    );
    const stride = steps ? knownInts(context, "steps", steps) : first.map(() => 1);
    const backward = along.filter((_, i) => stride[i]! < 0);
    let gradient = reverseAxes(emit, dY, backward);
    const pads = Array<number>(2 * rank).fill(0);
    along.forEach((axis, i) => {
      const size = data.dims[axis]!;
      const step = stride[i]!;
      const count = dY.dims[axis]!;
      const reach = (count - 1) * Math.abs(step);
      const start = clampStart(first[i]!, size, step);
      gradient = spread(emit, gradient, axis, Math.abs(step));
      pads[axis] = step > 0 ? start : start - reach;
      pads[rank + axis] = size - pads[axis] - reach - 1;
    });
    return emit.pad(gradient, pads);
  },
  starts: null,
  ends: null,
  axes: null,
  steps: null,
});

function clampStart(start: number, size: number, step: number): number {
  const counted = start < 0 ? start + size : start;
  return Math.min(Math.max(counted, 0), step > 0 ? size : size - 1);
}

function reverseAxes(emit: Emitter, a: Val, axes: readonly number[]): Val {
  if (axes.length === 0) return a;
  const minusOne = axes.map(() => -1);
  return emit.slice(
    a,
    axes,
    minusOne,
    axes.map((axis) => -a.dims[axis]! - 1),
    minusOne,
  );
}

/** `step − 1` zeros between neighbours. Shapes: axis of n → (n − 1) · step + 1. */
function spread(emit: Emitter, a: Val, axis: number, step: number): Val {
  const count = a.dims[axis]!;
  if (step === 1 || count === 1) return a;
  const split = emit.reshape(a, a.dims.toSpliced(axis + 1, 0, 1));
  const pads = Array<number>(2 * split.dims.length).fill(0);
  pads[split.dims.length + axis + 1] = step - 1;
  const merged = emit.reshape(emit.pad(split, pads), a.dims.with(axis, count * step));
  return emit.slice(merged, [axis], [0], [(count - 1) * step + 1]);
}

/** Constant mode: what was inside. Other modes read the input through an index map on each axis. */
export const pad: GradientRule<"Pad"> = (context) => {
  const { emit, attributes, dY, inputs } = context;
  const { data, pads, axes } = inputs;
  const rank = data.dims.length;
  const mode = attributes.string("mode", "constant");
  const amounts = (): number[] => {
    const given = knownInts(context, "pads", pads);
    const along = axes
      ? knownInts(context, "axes", axes).map((axis) => normalizeAxis(axis, rank))
      : data.dims.map((_, i) => i);
    const full = Array<number>(2 * rank).fill(0);
    along.forEach((axis, i) => {
      full[axis] = given[i]!;
      full[rank + axis] = given[along.length + i]!;
    });
    return full;
  };
  const inside = (all: readonly number[]): Val => {
    const every = data.dims.map((_, i) => i);
    const starts = every.map((i) => Math.max(0, all[i]!));
    return emit.slice(
      dY,
      every,
      starts,
      every.map((i) => dY.dims[i]! - Math.max(0, all[rank + i]!)),
    );
  };
  return {
    data: () => {
      const all = amounts();
      if (mode === "constant")
        return emit.pad(
          inside(all),
          all.map((p) => Math.max(0, -p)),
        );
      return data.dims.reduce((gradient, size, axis) => {
        const begin = all[axis]!;
        if (begin === 0 && all[rank + axis] === 0) return gradient;
        return applyTransposed(
          emit,
          gradient,
          axis,
          rowsFor(gradient.dims[axis]!, (o) => [[sourceOf(mode, o - begin, size), 1]]),
          size,
        );
      }, dY);
    },
    constant_value: () => emit.sub(emit.sumAll(dY), emit.sumAll(inside(amounts()))),
    pads: null,
    axes: null,
  };
};

/** Which element a place outside of [0, size) copies. */
function sourceOf(mode: string, place: number, size: number): number {
  if (mode === "edge") return Math.min(Math.max(place, 0), size - 1);
  if (mode === "wrap") return ((place % size) + size) % size;
  const period = Math.max(1, 2 * (size - 1));
  const folded = ((place % period) + period) % period;
  return folded < size ? folded : period - folded;
}

/** The output's own shape is the broadcast shape: the builder undoes it. */
export const expand: GradientRule<"Expand"> = ({ dY }) => ({ input: () => dY, shape: null });

/** Sum over the copies. Shapes: axis of r·d → [r, d] → d. */
export const tile: GradientRule<"Tile"> = ({ emit, dY, inputs: { input } }) => ({
  input: () => {
    const copies = input.dims.flatMap((size, i) => [dY.dims[i]! / size, size]);
    return emit.reduceSum(
      emit.reshape(dY, copies),
      input.dims.map((_, i) => 2 * i),
    );
  },
  repeats: null,
});

const addInto = (emit: Emitter, data: Val, indices: Val, updates: Val, axis: number): Val =>
  emit.node("ScatterElements", [data, indices, updates], { axis: attr.int(axis), reduction: attr.string("add") })[0];

/** Rows of dY added at their indices. Shapes: data […lead, D, …trail], indices I, dY […lead, …I, …trail]. */
export const gather: GradientRule<"Gather"> = ({ emit, attributes, dY, inputs: { data, indices } }) => ({
  data: () => {
    const axis = normalizeAxis(attributes.int("axis", 0), data.dims.length);
    const flat = data.dims.with(axis, sizeOf(indices.dims));
    const column = emit.reshape(
      indices,
      data.dims.map((_, i) => (i === axis ? sizeOf(indices.dims) : 1)),
    );
    return addInto(emit, zerosLike(emit, data), emit.expand(column, flat), emit.reshape(dY, flat), axis);
  },
  indices: null,
});

export const gatherElements: GradientRule<"GatherElements"> = ({
  emit,
  attributes,
  dY,
  inputs: { data, indices },
}) => ({
  data: () => addInto(emit, zerosLike(emit, data), indices, dY, attributes.int("axis", 0)),
  indices: null,
});

/** Overwritten elements have no gradient; with `add` they keep it. */
export const scatterElements: GradientRule<"ScatterElements"> = ({
  emit,
  attributes,
  dY,
  inputs: { indices, updates },
}) => {
  const axis = attr.int(attributes.int("axis", 0));
  return {
    data: () => {
      if (attributes.string("reduction", "none") === "add") return dY;
      return emit.node("ScatterElements", [dY, indices, zerosLike(emit, updates)], { axis })[0];
    },
    updates: () => emit.node("GatherElements", [dY, indices], { axis })[0],
    indices: null,
  };
};

export const scatterElementsObstacle: Obstacle = (attributes) => {
  const reduction = attributes.string("reduction", "none");
  return reduction === "none" || reduction === "add" ? undefined : `reduction = ${reduction}`;
};

/** The on value collects what stands at the indices, the off value the rest. Shapes: values [2]. */
export const oneHot: GradientRule<"OneHot"> = ({ emit, node, dY, inputs: { indices, depth } }) => ({
  indices: null,
  depth: null,
  values: () => {
    const mask = emit.tensor(tensorOf(dY.dtype, [2], [0, 1]));
    const on = emit.sumAll(emit.mul(dY, emit.node("OneHot", [indices, depth, mask], node.attributes)[0]));
    return emit.concat(
      [emit.sub(emit.sumAll(dY), on), on].map((a) => emit.reshape(a, [1])),
      0,
    );
  },
});

/** DCR order is undone by SpaceToDepth; in CRD order the block axes stand after the channel. */
export const depthToSpace: GradientRule<"DepthToSpace"> = ({ emit, attributes, dY, inputs: { input } }) => ({
  input: () => {
    const block = attributes.int("blocksize", 1);
    if (attributes.string("mode", "DCR") === "DCR")
      return emit.node("SpaceToDepth", [dY], { blocksize: attr.int(block) })[0];
    const [count, , height, width] = input.dims as [number, number, number, number];
    const blocks = emit.reshape(dY, [count, dY.dims[1]!, height, block, width, block]);
    return emit.reshape(emit.transpose(blocks, [0, 1, 3, 5, 2, 4]), input.dims);
  },
});

export const spaceToDepth: GradientRule<"SpaceToDepth"> = ({ emit, attributes, dY }) => ({
  input: () => emit.node("DepthToSpace", [dY], { blocksize: attr.int(attributes.int("blocksize", 1)) })[0],
});
