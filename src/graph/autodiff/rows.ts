import { createArray, LimberError, type NumericArray, sizeOf, type Tensor } from "../../base/index.js";
import { attributesOf, type Graph, type Model, type Node } from "../ir/index.js";
import { parametersOf } from "../passes/index.js";

/** Some places along one axis of a tensor, in ascending order. */
export interface Rows {
  readonly axis: number;
  readonly indices: readonly number[];
}

/** From the first to behind the last of rows without a gap; undefined when there is one. */
export function findRange({ indices }: Rows): readonly [start: number, end: number] | undefined {
  const [start, end] = [indices[0]!, indices.at(-1)! + 1];
  return end - start === indices.length ? [start, end] : undefined;
}

/** Rows as text, runs of them as ranges: "0-12,15". */
export function formatRows({ indices }: Rows): string {
  const starts = indices.filter((row, i) => row - 1 !== indices[i - 1]);
  const ends = indices.filter((row, i) => row + 1 !== indices[i + 1]);
  return starts.map((start, i) => (start === ends[i] ? `${start}` : `${start}-${ends[i]}`)).join();
}

/** The rows of a tensor that are not in `rows`. */
export function otherRows({ axis, indices }: Rows, { dims }: Tensor): Rows {
  const taken = new Set(indices);
  const all = Array.from({ length: dims[axis]! }, (_, i) => i);
  return { axis, indices: all.filter((i) => !taken.has(i)) };
}

/** A copy of the given rows. */
export function takeRows(source: Tensor, { axis, indices }: Rows): Tensor {
  const dims = source.dims.with(axis, indices.length);
  const data = createArray(source.dtype, sizeOf(dims));
  eachRun(source, { axis, indices }, (from, into, length) =>
    copy(data, source.data as NumericArray, { from, into, length }),
  );
  return { dtype: source.dtype, dims, data };
}

/** A copy of `target` in which the given rows are those of `part`. */
export function putRows(target: Tensor, rows: Rows, part: Tensor): Tensor {
  const data = (target.data as NumericArray).slice();
  eachRun(target, rows, (into, from, length) => copy(data, part.data as NumericArray, { from, into, length }));
  return { ...target, data };
}

/** Visits the elements of each row: where they stand in the whole and where in the part. */
function eachRun(
  whole: Tensor,
  { axis, indices }: Rows,
  visit: (whole: number, part: number, length: number) => void,
): void {
  const length = sizeOf(whole.dims.slice(axis + 1));
  for (let outer = 0; outer < sizeOf(whole.dims.slice(0, axis)); outer++)
    indices.forEach((row, i) =>
      visit((outer * whole.dims[axis]! + row) * length, (outer * indices.length + i) * length, length),
    );
}

function copy(
  target: NumericArray,
  source: NumericArray,
  { from, into, length }: { from: number; into: number; length: number },
): void {
  (target as Float32Array).set((source as Float32Array).subarray(from, from + length), into);
}

/**
 * The axis of a parameter along which its output channels lie, by the first node that reads it: columns of MatMul's right
 * operand, rows of Gemm's with `transB`, the second axis of ConvTranspose's kernel, else the first longer than one.
 */
export function outputAxisOf({ nodes, initializers }: Graph, name: string): number {
  const dims = initializers.get(name)?.dims;
  const reader = nodes.find(({ inputs }) => inputs.includes(name));
  if (!dims || !reader) return 0;
  if (reader.op === "Transpose") {
    const product = nodes.find(({ inputs }) => inputs.includes(reader.outputs[0]!));
    const perm = attributesOf(reader).ints("perm") ?? dims.map((_, i) => dims.length - 1 - i);
    const axis = product && weightAxis(product, product.inputs.indexOf(reader.outputs[0]!), dims.length);
    if (axis !== undefined) return perm[axis]!;
  }
  const wide = dims.findIndex((d) => d > 1);
  return weightAxis(reader, reader.inputs.indexOf(name), dims.length) ?? Math.max(0, wide);
}

/** Output channels of the operand `index` of a product of `rank` axes; undefined when the node is none. */
export function weightAxis(node: Node, index: number, rank: number): number | undefined {
  const flag = (name: string): boolean => attributesOf(node).int(name, 0) !== 0;
  switch (node.op) {
    case "Conv":
      return 0;
    case "ConvTranspose":
      return index === 1 && attributesOf(node).int("group", 1) === 1 ? 1 : 0;
    case "Gemm":
    case "MatMul":
    case "FusedMatMul":
      if (rank < 2 || index > 1) return rank - 1;
      return index === 0 ? rank - (flag("transA") ? 1 : 2) : rank - (flag("transB") ? 2 : 1);
    default:
      return undefined;
  }
}

type RowsOf = ReadonlyMap<string, readonly number[]>;

/** Undefined when all rows of the parameter train. Throws: `config.invalid`. */
export function partOf(graph: Graph, name: string, whole: Tensor, indices: readonly number[]): Rows | undefined {
  const rows = { axis: outputAxisOf(graph, name), indices: [...indices].sort((a, b) => a - b) };
  checkRows(name, rows, whole);
  return indices.length === whole.dims[rows.axis] ? undefined : rows;
}

/**
 * The first output channels of parameters, at least one of each: `share` 0.2 gives 20 %, rounded up.
 * For `TrainOptions.rows`; by default of all weights of products and convolutions.
 */
export const leadingRows = (model: Model, share: number, names: readonly string[] = weightsOf(model)): RowsOf =>
  chooseRows(model, share, names, (_, count) => Array.from({ length: count }, (_, row) => row));

/** The same many, those whose weights have the largest sum of magnitudes. */
export const largestRows = (model: Model, share: number, names: readonly string[] = weightsOf(model)): RowsOf =>
  chooseRows(model, share, names, (value, count, axis) => {
    const sums = new Float64Array(value.dims[axis]!);
    const rows = { axis, indices: [...sums.keys()] };
    const data = value.data as Float32Array;
    const add = (row: number, from: number, length: number): void => {
      for (let i = from; i < from + length; i++) sums[row]! += Math.abs(data[i]!);
    };
    eachRun(value, rows, (from, _, length) => add(Math.floor(from / length) % sums.length, from, length));
    return rows.indices.sort((a, b) => sums[b]! - sums[a]!).slice(0, count);
  });

const weightsOf = (model: Model): string[] =>
  parametersOf(model).flatMap(({ name, role }) => (role === "weight" ? [name] : []));

function chooseRows(
  { graph }: Model,
  share: number,
  names: readonly string[],
  choose: (value: Tensor, count: number, axis: number) => readonly number[],
): RowsOf {
  const entries = names.map((name) => {
    const value = graph.initializers.get(name)!;
    const axis = outputAxisOf(graph, name);
    return [name, choose(value, Math.max(1, Math.ceil(share * value.dims[axis]!)), axis)] as const;
  });
  return new Map(entries);
}

/** Throws: `config.invalid` unless `indices` are different rows of the parameter. */
export function checkRows(name: string, { axis, indices }: Rows, { dims }: Tensor): void {
  const size = dims[axis]!;
  const wrong = indices.find((row, i) => !Number.isInteger(row) || row < 0 || row >= size || row === indices[i - 1]);
  if (wrong === undefined && indices.length > 0) return;
  const got =
    wrong === undefined ? "none" : `${wrong}${indices.filter((row) => row === wrong).length > 1 ? " twice" : ""}`;
  const message = `rows of "${name}": different output channels from 0 to ${size - 1}, got ${got}`;
  throw new LimberError("config.invalid", message, { parameter: name, rows: indices });
}
