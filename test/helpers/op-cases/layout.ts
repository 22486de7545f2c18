import { int64s, sizeOf, tensorOf } from "../../../src/base/index.js";
import { attr, type Attribute, DTYPE_CODES } from "../../../src/graph/ir/index.js";
import { type CaseOf, type Draw, type OpCase, single } from "./draw.js";

export const reshape: CaseOf = (draw) => {
  const dims = draw.dims(3);
  const size = sizeOf(dims);
  const [shape, allowzero] = draw.pick<readonly [number[], number]>([
    [[size], 0],
    [[-1], 0],
    [[0, -1], 0],
    [[dims[0]!, 1, -1], 0],
    [[dims[2]!, dims[0]!, dims[1]!], 1],
    [[0, 0, 0, 1], 0],
  ]);
  return { inputs: [draw.floats(dims), int64s(shape)], attributes: { allowzero: attr.int(allowzero) } };
};

export const flatten: CaseOf = (draw) => {
  const rank = draw.int(1, 4);
  return {
    inputs: [draw.floats(draw.dims(rank))],
    attributes: draw.flag() ? { axis: attr.int(draw.int(-rank, rank)) } : {},
  };
};

export const squeeze: CaseOf = (draw) => {
  const data = draw.floats([1, draw.int(2, 3), 1, 2, 1]);
  return { inputs: draw.pick([[data], [data, int64s([0, -1])], [data, int64s([2])]]) };
};

export const unsqueeze: CaseOf = (draw) => ({
  inputs: [draw.floats([2, 3]), int64s(draw.pick([[0], [-1], [1, 3], [4, 0, 1], [-1, -3]]))],
});

export const transpose: CaseOf = (draw) => {
  const rank = draw.int(1, 5);
  return {
    inputs: [draw.floats(draw.dims(rank))],
    attributes: draw.flag() ? { perm: attr.ints(draw.shuffled(rank)) } : {},
  };
};

export const concat: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 4));
  const axis = draw.axis(dims.length);
  return {
    inputs: draw.list(draw.int(1, 3), () => draw.floats(dims.with(axis, draw.int(1, 4)))),
    attributes: { axis: attr.int(axis) },
  };
};

export const split: CaseOf = (draw) => {
  const dims = draw.dims(3, 3);
  const axis = draw.axis(3);
  const sizes = draw.list(draw.int(1, 3), () => draw.int(1, 3));
  const data = draw.floats(
    dims.with(
      axis,
      sizes.reduce((a, b) => a + b),
    ),
  );
  if (draw.flag())
    return { inputs: [data, int64s(sizes)], attributes: { axis: attr.int(axis) }, outputs: sizes.length };
  const length = draw.int(3, 7); // uneven in general: the last part is smaller
  const parts = draw.pick(length % 2 === 0 ? [1, 2] : length === 5 ? [2, 3] : [2]);
  return {
    inputs: [draw.floats(dims.with(axis, length))],
    attributes: { axis: attr.int(axis), num_outputs: attr.int(parts) },
    outputs: parts,
    opset: 18,
  };
};

/** Starts and ends reach past both borders; steps go either way. */
export const slice: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 4), 6);
  const axes = draw.axes(dims.length);
  const chosen = axes.length > 0 ? axes : [0];
  const steps = chosen.map(() => draw.pick([1, 1, 2, -1, -2]));
  const bound = (): number => draw.pick([draw.int(-8, 8), 2 ** 31, -(2 ** 31), draw.int(-3, 3)]);
  const inputs = [draw.floats(dims), int64s(chosen.map(bound)), int64s(chosen.map(bound)), int64s(chosen)];
  return { inputs: draw.flag() ? [...inputs, int64s(steps)] : inputs };
};

export const pad: CaseOf = (draw) => {
  const dims = draw.list(draw.int(1, 4), () => draw.int(2, 4));
  const mode = draw.pick(["constant", "constant", "reflect", "edge", "wrap"]);
  const [low, high] = mode === "constant" ? [-1, 2] : [0, 1];
  const all = draw.int(0, 2) > 0;
  const axes = all ? dims.map((_, i) => i) : [draw.axis(dims.length)];
  const pads = int64s(
    draw
      .list(2 * axes.length, () => draw.int(low, high))
      .map((p, i) => (dims.at(axes[i % axes.length]!)! === 2 && p < 0 ? 0 : p)),
  );
  const fill = mode === "constant" && draw.flag() ? single(1.5) : undefined;
  return {
    inputs: all ? [draw.floats(dims), pads, fill] : [draw.floats(dims), pads, fill, int64s(axes)],
    attributes: { mode: attr.string(mode) },
    opset: 19,
  };
};

export const expand: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 4));
  return { inputs: [draw.floats(draw.broadcastable(dims)), int64s(draw.flag() ? dims : draw.broadcastable(dims))] };
};

export const tile: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 3), 3);
  return { inputs: [draw.floats(dims), int64s(draw.list(dims.length, () => draw.int(1, 3)))] };
};

const axisOf = (axis: number): Record<string, Attribute> => ({ axis: attr.int(axis) });
const indicesInto = (draw: Draw, dims: readonly number[], size: number): ReturnType<Draw["ints"]> =>
  draw.ints(dims, -size, size - 1);

export const gather: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 3));
  const axis = draw.axis(dims.length);
  return {
    inputs: [draw.floats(dims), indicesInto(draw, draw.dims(draw.int(0, 2)), dims.at(axis)!)],
    attributes: axisOf(axis),
  };
};

export const gatherElements: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 3));
  const axis = draw.axis(dims.length);
  const picked = dims.map((d) => draw.int(1, d)).with(axis, draw.int(1, 5));
  return { inputs: [draw.floats(dims), indicesInto(draw, picked, dims.at(axis)!)], attributes: axisOf(axis) };
};

/** Without a reduction no place is written twice, since the order is open. */
export const scatterElements: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 3), 5);
  const axis = draw.axis(dims.length);
  const reduction = draw.pick(["none", "add", "mul", "max", "min"]);
  const length = dims.at(axis)!;
  const updated = dims.map((d) => draw.int(1, d)).with(axis, draw.int(1, length));
  const places = draw.shuffled(length);
  const inner = sizeOf(updated.slice(axis < 0 ? axis + dims.length + 1 : axis + 1));
  const distinct = tensorOf(
    "int64",
    updated,
    Array.from({ length: sizeOf(updated) }, (_, i) => places[Math.floor(i / inner) % updated.at(axis)!]!),
  );
  const indices = reduction === "none" ? distinct : indicesInto(draw, updated, length);
  const attributes = { ...axisOf(axis), reduction: attr.string(reduction) };
  return { inputs: [draw.floats(dims), indices, draw.floats(updated)], attributes, opset: 18 };
};

export const depthToSpace: CaseOf = (draw) => {
  const b = draw.int(1, 3);
  const dims = [draw.int(1, 2), b * b * draw.int(1, 3), draw.int(1, 3), draw.int(1, 3)];
  return {
    inputs: [draw.floats(dims)],
    attributes: { blocksize: attr.int(b), mode: attr.string(draw.pick(["DCR", "CRD"])) },
  };
};

export const spaceToDepth: CaseOf = (draw) => {
  const b = draw.int(1, 3);
  return {
    inputs: [draw.floats([draw.int(1, 2), draw.int(1, 3), b * draw.int(1, 3), b * draw.int(1, 3)])],
    attributes: { blocksize: attr.int(b) },
  };
};

export const constant: CaseOf = (draw) => ({
  inputs: [],
  attributes: draw.pick<Record<string, Attribute>>([
    { value: attr.tensor(draw.floats([2, 3])) },
    { value: attr.tensor(draw.ints([3], -5, 5)) },
    { value_float: attr.float(0.25) },
    { value_floats: attr.floats([0.5, -1]) },
    { value_int: attr.int(-7) },
    { value_ints: attr.ints([3, 0, 2]) },
  ]),
});

export const constantOfShape: CaseOf = (draw) => ({
  inputs: [int64s(draw.dims(draw.int(0, 3)))],
  attributes: draw.pick<Record<string, Attribute>>([
    {},
    { value: attr.tensor(tensorOf("int64", [1], [3])) },
    { value: attr.tensor(tensorOf("float32", [1], [0.5])) },
  ]),
});

export const shape: CaseOf = (draw) => ({
  inputs: [draw.floats(draw.dims(draw.int(0, 4)))],
  attributes: draw.pick<Record<string, Attribute>>([
    {},
    { start: attr.int(draw.int(-5, 5)) },
    { start: attr.int(draw.int(0, 2)), end: attr.int(draw.int(-2, 5)) },
  ]),
});

export const size: CaseOf = (draw) => ({ inputs: [draw.floats(draw.dims(draw.int(0, 4)))] });

export const range: CaseOf = (draw) => ({
  inputs: draw.flag()
    ? [single(draw.int(-3, 3), "int64"), single(draw.int(-9, 9), "int64"), single(draw.pick([-3, -1, 1, 2]), "int64")]
    : [single(0.5), single(4), single(0.75)],
});

export const eyeLike: CaseOf = (draw) => ({
  inputs: [draw.floats(draw.dims(2))],
  attributes: { k: attr.int(draw.int(-2, 2)), ...(draw.flag() && { dtype: attr.int(DTYPE_CODES.int64) }) },
});

export const oneHot: CaseOf = (draw) => {
  const dims = draw.dims(draw.int(1, 3), 3);
  const inputs = [draw.ints(dims, -6, 6), single(4, "int64"), tensorOf("float32", [2], [-1, 2])];
  return { inputs, attributes: draw.flag() ? axisOf(draw.axis(dims.length + 1)) : {} };
};

/** Cropping to a region that may reach past the image. By sizes: ONNX Runtime leaves the region out of sizes that come from scales. */
function crop(draw: Draw): OpCase {
  const roi = tensorOf("float32", [8], [0, 0, draw.pick([-0.25, 0, 0.25]), 0, 1, 1, draw.pick([0.75, 1, 1.5]), 0.5]);
  const attributes = {
    mode: attr.string("linear"),
    coordinate_transformation_mode: attr.string("tf_crop_and_resize"),
    extrapolation_value: attr.float(draw.pick([0, -3])),
  };
  return {
    inputs: [draw.floats([1, 2, 5, 4]), roi, undefined, int64s([1, 2, draw.int(1, 8), draw.int(1, 8)])],
    attributes,
  };
}

export const resize: CaseOf = (draw) => {
  if (draw.int(0, 5) === 0) return crop(draw);
  const dims = [draw.int(1, 2), draw.int(1, 2), draw.int(2, 6), draw.int(2, 6)];
  const mode = draw.pick(["nearest", "linear", "cubic"]);
  const bySize = draw.flag();
  const modes = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"];
  const attributes: Record<string, Attribute> = {
    mode: attr.string(mode),
    coordinate_transformation_mode: attr.string(draw.pick(modes)),
  };
  if (mode === "nearest")
    attributes.nearest_mode = attr.string(draw.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]));
  if (mode === "cubic") {
    attributes.cubic_coeff_a = attr.float(draw.pick([-0.75, -0.5]));
    attributes.exclude_outside = attr.int(draw.int(0, 1));
  }
  if (mode !== "nearest" && draw.flag()) attributes.antialias = attr.int(1);
  if (bySize) {
    const policy = draw.pick(["stretch", "stretch", "not_larger", "not_smaller"]);
    // For "nearest" only ratios that float32 holds exactly: elsewhere rounding decides which neighbour is nearest.
    const sizes = int64s(mode === "nearest" ? [dims[2]! * 2, dims[3]! * 3] : [draw.int(1, 9), draw.int(1, 9)]);
    attributes.keep_aspect_ratio_policy = attr.string(policy);
    attributes.axes = attr.ints([2, 3]);
    return { inputs: [draw.floats(dims), undefined, undefined, sizes], attributes, opset: 19 };
  }
  const scales = tensorOf(
    "float32",
    [4],
    [1, 1, draw.pick([0.5, 0.625, 1, 2, 2.5]), draw.pick([0.5, 0.75, 1, 1.5, 3])],
  );
  return { inputs: [draw.floats(dims), undefined, scales], attributes, opset: 19 };
};
