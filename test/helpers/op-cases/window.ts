import { int64s, tensorOf } from "../../../src/base/index.js";
import { attr, type Attribute } from "../../../src/graph/ir/index.js";
import type { CaseOf, Draw } from "./draw.js";

type Attributes = Record<string, Attribute>;

/** Window attributes and an image that is large enough for them. Pools: no window in padding alone, none skips pixels (ONNX Runtime refuses some). */
function drawWindow(
  draw: Draw,
  options: { rank: number; dilated: boolean; pooling?: boolean },
): { attributes: Attributes; kernel: number[]; spatial: number[] } {
  const { rank, dilated, pooling = false } = options;
  const kernel = draw.list(rank, () => draw.int(1, 3));
  const attributes: Attributes = { kernel_shape: attr.ints(kernel) };
  if (draw.flag()) attributes.strides = attr.ints(kernel.map((size) => draw.int(1, pooling ? size : 3)));
  const mode = draw.pick(["pads", "pads", "none", "SAME_UPPER", "SAME_LOWER", "VALID"]);
  const plain = mode === "pads" || mode === "none";
  const dilations = dilated && plain && draw.flag() ? draw.list(rank, () => draw.int(1, 2)) : undefined;
  if (dilations) attributes.dilations = attr.ints(dilations);
  if (mode === "pads")
    attributes.pads = attr.ints(draw.list(2 * rank, (i) => draw.int(0, pooling ? kernel[i % rank]! - 1 : 2)));
  else if (mode !== "none") attributes.auto_pad = attr.string(mode);
  const spatial = kernel.map((size, i) => draw.int((size - 1) * (dilations?.[i] ?? 1) + 1, 8));
  return { attributes, kernel, spatial };
}

const drawRank = (draw: Draw): number => draw.pick([1, 2, 2, 2, 3]);

export const conv: CaseOf = (draw) => {
  const { attributes, kernel, spatial } = drawWindow(draw, { rank: drawRank(draw), dilated: true });
  const group = draw.int(1, 3);
  const [depth, perGroup] = [draw.int(1, 3), draw.int(1, 3)];
  const inputs = [
    draw.floats([draw.int(1, 2), group * depth, ...spatial]),
    draw.floats([group * perGroup, depth, ...kernel]),
  ];
  if (draw.flag()) inputs.push(draw.floats([group * perGroup]));
  return { inputs, attributes: group > 1 || draw.flag() ? { ...attributes, group: attr.int(group) } : attributes };
};

export const convTranspose: CaseOf = (draw) => {
  const rank = drawRank(draw);
  const kernel = draw.list(rank, () => draw.int(1, 3));
  const spatial = draw.list(rank, () => draw.int(2, 5));
  const group = draw.int(1, 2);
  const strides = draw.list(rank, () => draw.int(1, 3));
  const dilations = draw.list(rank, () => draw.int(1, 2));
  const attributes: Attributes = {
    group: attr.int(group),
    strides: attr.ints(strides),
    dilations: attr.ints(dilations),
    kernel_shape: attr.ints(kernel),
  };
  const mode = draw.pick(["pads", "padding", "shape", "SAME_UPPER", "SAME_LOWER", "VALID"]);
  const full = spatial.map((size, i) => strides[i]! * (size - 1) + (kernel[i]! - 1) * dilations[i]! + 1);
  if (mode === "pads")
    attributes.pads = attr.ints(draw.list(2 * rank, (i) => draw.int(0, Math.floor((full[i % rank]! - 1) / 2))));
  else if (mode === "padding") attributes.output_padding = attr.ints(strides.map((stride) => draw.int(0, stride - 1)));
  else if (mode === "shape")
    attributes.output_shape = attr.ints(full.map((size) => Math.max(1, size - draw.int(0, 2))));
  else attributes.auto_pad = attr.string(mode);
  const [depth, perGroup] = [draw.int(1, 3), draw.int(1, 3)];
  const inputs = [
    draw.floats([draw.int(1, 2), group * depth, ...spatial]),
    draw.floats([group * depth, perGroup, ...kernel]),
  ];
  if (draw.flag()) inputs.push(draw.floats([group * perGroup]));
  return { inputs, attributes };
};

const pool = (draw: Draw, dilated: boolean): { attributes: Attributes; dims: number[] } => {
  const { attributes, spatial } = drawWindow(draw, { rank: drawRank(draw), dilated, pooling: true });
  const ceil = !("auto_pad" in attributes) && draw.flag();
  const dims = [draw.int(1, 2), draw.int(1, 3), ...spatial];
  return { attributes: ceil ? { ...attributes, ceil_mode: attr.int(1) } : attributes, dims };
};

export const maxPool: CaseOf = (draw) => {
  const { attributes, dims } = pool(draw, true);
  const columns = draw.int(0, 3) === 0 ? { storage_order: attr.int(1) } : {};
  return { inputs: [draw.distinct(dims)], attributes: { ...attributes, ...columns }, outputs: draw.int(1, 2) };
};

export const averagePool: CaseOf = (draw) => {
  const { attributes, dims } = pool(draw, false);
  return {
    inputs: [draw.floats(dims)],
    attributes: draw.flag() ? { ...attributes, count_include_pad: attr.int(1) } : attributes,
  };
};

export const globalPool: CaseOf = (draw) => ({ inputs: [draw.floats([2, 3, ...draw.dims(drawRank(draw))])] });

const order = (draw: Draw): Attributes => (draw.flag() ? { p: attr.int(draw.int(1, 3)) } : {});

export const lpPool: CaseOf = (draw) => {
  const { attributes, dims } = pool(draw, false);
  return { inputs: [draw.floats(dims)], attributes: { ...attributes, ...order(draw) }, opset: 18 };
};

export const globalLpPool: CaseOf = (draw) => ({ ...globalPool(draw), attributes: order(draw) });

/** Indices of a 2 × 2 pool: each place at most once. */
export const maxUnpool: CaseOf = (draw) => {
  const [images, height, width] = [draw.int(1, 2), draw.int(1, 3), draw.int(1, 3)];
  const full = [2 * height + draw.int(0, 1), 2 * width];
  const places = draw.list(images * height * width, (i) => {
    const [image, row, column] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
    return (image * full[0]! + 2 * row + draw.int(0, 1)) * full[1]! + 2 * column + draw.int(0, 1);
  });
  const dims = [images, 1, height, width];
  const shape = full[0] === 2 * height && draw.flag() ? [] : [int64s([images, 1, ...full])];
  return {
    inputs: [draw.floats(dims), tensorOf("int64", dims, places), ...shape],
    attributes: { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) },
  };
};
