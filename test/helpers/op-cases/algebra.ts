import { attr, type Attribute } from "../../../src/graph/ir/index.js";
import type { CaseOf, Draw } from "./draw.js";

export const gemm: CaseOf = (draw) => {
  const [m, k, n] = draw.dims(3, 6) as [number, number, number];
  const [transA, transB] = [draw.flag(), draw.flag()];
  const inputs = [draw.floats(transA ? [k, m] : [m, k]), draw.floats(transB ? [n, k] : [k, n])];
  if (draw.flag()) inputs.push(draw.floats(draw.broadcastable([m, n])));
  const attributes = {
    transA: attr.int(Number(transA)),
    transB: attr.int(Number(transB)),
    alpha: attr.float(draw.pick([1, 0.5])),
    beta: attr.float(draw.pick([1, -2])),
  };
  return { inputs, attributes };
};

/** Operands of a matrix product: vectors, matrices, broadcast batches. */
export const matMul: CaseOf = (draw) => {
  const [m, k, n] = draw.dims(3, 9) as [number, number, number];
  const batch = draw.dims(draw.int(0, 2), 3);
  const left = draw.int(0, 4) === 0 ? [k] : [...draw.broadcastable(batch), m, k];
  const right = draw.int(0, 4) === 0 ? [k] : [...draw.broadcastable(batch), k, n];
  return { inputs: [draw.floats(left), draw.floats(right)] };
};

const flags = (draw: Draw, names: readonly string[]): Record<string, Attribute> =>
  Object.fromEntries(names.filter(() => draw.flag()).map((name) => [name, attr.int(1)]));

export const fusedMatMul: CaseOf = (draw) => {
  const [m, k, n] = draw.dims(3, 9) as [number, number, number];
  const batch = draw.dims(draw.int(0, 2), 3);
  // ONNX Runtime transposes the batch axis only when both operands have the same batch.
  const attributes = flags(
    draw,
    batch.length > 0 ? ["transA", "transB", "transBatchA", "transBatchB"] : ["transA", "transB"],
  );
  const place = (rows: number, columns: number, flipped: boolean, batchLast: boolean): number[] => {
    const [first, last] = flipped ? [columns, rows] : [rows, columns];
    return batchLast ? [first, ...batch, last] : [...batch, first, last];
  };
  const left = place(m, k, "transA" in attributes, "transBatchA" in attributes);
  const right = place(k, n, "transB" in attributes, "transBatchB" in attributes);
  return {
    inputs: [draw.floats(left), draw.floats(right)],
    attributes: { ...attributes, alpha: attr.float(draw.pick([1, 0.25])) },
  };
};

const image = (draw: Draw, channels: number): number[] => [draw.int(2, 3), channels, ...draw.dims(draw.int(1, 2), 5)];

export const batchNormalization: CaseOf = (draw) => {
  const channels = draw.int(1, 4);
  const training = draw.flag();
  const attributes = {
    epsilon: attr.float(draw.pick([1e-5, 1e-2])),
    momentum: attr.float(draw.pick([0, 0.9])),
    training_mode: attr.int(Number(training)),
  };
  const vector = (low: number): ReturnType<Draw["floats"]> => draw.floats([channels], low, 2);
  const inputs = [draw.floats(image(draw, channels)), vector(-2), vector(-2), vector(-2), vector(0.1)];
  return { inputs, attributes, outputs: training ? 3 : 1 };
};

export const instanceNormalization: CaseOf = (draw) => {
  const channels = draw.int(1, 4);
  const dims = [2, channels, ...draw.list(draw.int(1, 2), () => draw.int(3, 5))];
  return {
    inputs: [draw.floats(dims), draw.floats([channels]), draw.floats([channels])],
    attributes: { epsilon: attr.float(1e-3) },
  };
};

export const layerNormalization: CaseOf = (draw) => {
  const rank = draw.int(2, 4);
  const dims = draw.list(rank, () => draw.int(3, 5));
  const axis = draw.axis(rank);
  const normalized = dims.slice(axis < 0 ? axis + rank : axis);
  const inputs = [draw.floats(dims), draw.floats(normalized)];
  if (draw.flag()) inputs.push(draw.floats(normalized));
  return { inputs, attributes: { axis: attr.int(axis), epsilon: attr.float(1e-3) }, outputs: draw.pick([1, 3]) };
};

export const lrn: CaseOf = (draw) => ({
  inputs: [draw.floats([2, draw.int(1, 7), 3, 2])],
  attributes: {
    size: attr.int(draw.pick([1, 3, 5])),
    alpha: attr.float(0.3),
    beta: attr.float(0.6),
    bias: attr.float(1.5),
  },
});

/** Before opset 21 one scale per group, then one per channel. */
export const groupNormalization: CaseOf = (draw) => {
  const [groups, perGroup, opset] = [draw.int(1, 3), draw.int(1, 3), draw.pick([18, 21])];
  const channels = groups * perGroup;
  const dims = [draw.int(1, 2), channels, ...draw.list(draw.int(1, 2), () => draw.int(3, 5))];
  const parameter = [opset < 21 ? groups : channels];
  return {
    inputs: [draw.floats(dims), draw.floats(parameter), draw.floats(parameter)],
    attributes: { epsilon: attr.float(1e-3), num_groups: attr.int(groups) },
    opset,
  };
};

export const meanVarianceNormalization: CaseOf = (draw) => {
  const dims = draw.list(4, () => draw.int(3, 4));
  return {
    inputs: [draw.floats(dims)],
    attributes: draw.flag() ? { axes: attr.ints(draw.pick([[2, 3], [1, 2, 3], [-1]])) } : {},
  };
};

export const lpNormalization: CaseOf = (draw) => ({
  inputs: [draw.floats(draw.list(3, () => draw.int(2, 4)))],
  attributes: { axis: attr.int(draw.axis(3)), p: attr.int(draw.int(1, 2)) },
});

/** Attention, outer and inner products, sums, broadcast batches, implicit results. */
export const einsum: CaseOf = (draw) => {
  const [equation, ...shapes] = draw.pick([
    ["bhid,bhjd->bhij", "bhid", "bhjd"],
    ["bhij, bhjd -> bhid", "bhij", "bhjd"],
    ["bchw,bkc->bkhw", "bchw", "bkc"],
    ["i,j->ij", "i", "j"],
    ["ij,jk", "ij", "jk"],
    ["ij->", "ij"],
    ["ij->j", "ij"],
    ["bij,k->bk", "bij", "k"],
    ["...ij,...jk->...ik", "bcij", "cjk"],
    ["b...i,i...->...b", "bhci", "ihc"],
    ["ab,bc,cd->ad", "ab", "bc", "cd"],
    ["ij,ij->i", "ij", "ij"],
  ] as const);
  const sizes = new Map<string, number>();
  const sizeOf = (label: string): number => {
    const size = sizes.get(label) ?? draw.int(1, 4);
    sizes.set(label, size);
    return size;
  };
  return {
    inputs: shapes.map((labels) => draw.floats(Array.from(labels, sizeOf))),
    attributes: { equation: attr.string(equation) },
  };
};
