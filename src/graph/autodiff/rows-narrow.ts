import { sizeOf } from "../../base/index.js";
import { attr, attributesOf, type Graph, type Node } from "../ir/index.js";
import type { Emitter, Val } from "../ops/index.js";
import { findRange, type Rows, weightAxis } from "./rows.js";

/** A node and its operands, as a gradient rule sees them. */
export interface Call {
  readonly node: Node;
  readonly inputs: readonly (Val | undefined)[];
  readonly outputs: readonly (Val | undefined)[];
  readonly dOutputs: readonly (Val | undefined)[];
}

/** Writes a selection of rows; equal selections are shared. */
export type Take = (value: Val, rows: Rows) => Val;

export function createTake(emit: Emitter): Take {
  const taken = new Map<string, Val>();
  return (value, rows) => {
    const key = `${value.name}:${rows.axis}:${rows.indices.join()}`;
    const found = taken.get(key) ?? write(emit, value, rows);
    taken.set(key, found);
    return found;
  };
}

function write(emit: Emitter, value: Val, rows: Rows): Val {
  const { axis, indices } = rows;
  const range = findRange(rows);
  if (range) return emit.slice(value, [axis], [range[0]], [range[1]]);
  return emit.node("Gather", [value, emit.ints(indices)], { axis: attr.int(axis) })[0];
}

/**
 * The part of a node that the given rows of input `index` take part in: the same op on smaller operands, so that its
 * gradient rule, unchanged, gives the gradient of these rows alone. Undefined where the op has no such part: all of the
 * gradient is then computed, and the rows are taken from it.
 *
 * Y[:, r] = f(X, W[r]) holds for products and convolutions, where r are output channels, and channel by channel for a
 * normalization with fixed statistics.
 */
export function narrow(call: Call, index: number, rows: Rows, take: Take): Call | undefined {
  switch (call.node.op) {
    case "Conv":
      return narrowConvolution(call, rows, take);
    case "ConvTranspose":
      return narrowTransposed(call, index, rows, take);
    case "Gemm":
    case "MatMul":
    case "FusedMatMul":
      return narrowProduct(call, index, rows, take);
    case "BatchNormalization":
      return narrowNormalization(call, rows, take);
    default:
      return undefined;
  }
}

/** Kernels and bias of the rows, the image channels that their groups read, and dY at these channels. */
function narrowConvolution(call: Call, { axis, indices }: Rows, take: Take): Call | undefined {
  if (axis !== 0) return undefined;
  const [X, W, B] = call.inputs as [Val, Val, Val?];
  const group = attributesOf(call.node).int("group", 1);
  const { groups, channels } = groupsRead(indices, group, W);
  return {
    ...call,
    node: { ...call.node, attributes: { ...call.node.attributes, group: attr.int(groups) } },
    inputs: [
      group === 1 ? X : take(X, { axis: 1, indices: channels }),
      take(W, { axis, indices }),
      B && take(B, { axis, indices }),
    ],
    dOutputs: [take(call.dOutputs[0]!, { axis: 1, indices })],
  };
}

/**
 * A grouped convolution of some output channels: groups of equal size where the rows allow it, else one group per row,
 * for which the image channels of its group are repeated.
 */
function groupsRead(rows: readonly number[], group: number, { dims }: Val): { groups: number; channels: number[] } {
  const [perGroup, width] = [dims[0]! / group, dims[1]!];
  const ofRow = rows.map((row) => Math.floor(row / perGroup));
  const touched = [...new Set(ofRow)];
  const isEven = touched.every((g) => ofRow.filter((other) => other === g).length * touched.length === rows.length);
  const read = isEven ? touched : ofRow;
  return {
    groups: read.length,
    channels: read.flatMap((g) => Array.from({ length: width }, (_, i) => g * width + i)),
  };
}

function narrowTransposed(call: Call, index: number, { axis, indices }: Rows, take: Take): Call | undefined {
  const [X, W, B] = call.inputs as [Val, Val, Val?];
  if (attributesOf(call.node).int("group", 1) !== 1 || axis !== (index === 1 ? 1 : 0)) return undefined;
  return {
    ...call,
    inputs: [X, take(W, { axis: 1, indices }), B && take(B, { axis: 0, indices })],
    dOutputs: [take(call.dOutputs[0]!, { axis: 1, indices })],
  };
}

/** Rows of the left operand are rows of the result, columns of the right one its columns. */
function narrowProduct(call: Call, index: number, rows: Rows, take: Take): Call | undefined {
  const operands = call.inputs.slice(0, 2) as [Val, Val];
  const operand = operands[index];
  const dY = call.dOutputs[0]!;
  const isMatrix = operands.every(({ dims }) => dims.length >= 2);
  if (!operand || !isMatrix || rows.axis !== weightAxis(call.node, index, operand.dims.length)) return undefined;
  const axis = dY.dims.length - (index === 0 ? 2 : 1);
  return {
    ...call,
    inputs: call.inputs.with(index, take(operand, rows)),
    dOutputs: [take(dY, { axis, indices: rows.indices })],
  };
}

/** With statistics of the batch, the gradient of the image needs the sums of all channels anyway. */
function narrowNormalization(call: Call, { indices }: Rows, take: Take): Call | undefined {
  if (attributesOf(call.node).int("training_mode", 0) !== 0) return undefined;
  const [X, ...vectors] = call.inputs as [Val, ...Val[]];
  const image = { axis: 1, indices };
  return {
    ...call,
    inputs: [take(X, image), ...vectors.map((v) => take(v, { axis: 0, indices }))],
    dOutputs: [take(call.dOutputs[0]!, image)],
  };
}

/** Ops that keep the elements of their first input in order. */
const KEEP_ORDER: ReadonlySet<string> = new Set(["Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"]);

/**
 * Values that hold the elements of another one in another shape carry its rows: what is wanted of the gradient there
 * follows. Gives the rows by value, those of `wanted` included.
 */
export function followRows(
  graph: Graph,
  wanted: ReadonlyMap<string, Rows>,
  dimsOf: (name: string) => readonly number[],
): Map<string, Rows> {
  const rows = new Map(wanted);
  for (const node of graph.nodes) {
    const found = rows.get(node.inputs[0] ?? "");
    const axis = found && followAxis(node, found.axis, dimsOf);
    if (axis !== undefined) rows.set(node.outputs[0]!, { axis, indices: found!.indices });
  }
  return rows;
}

function followAxis(node: Node, axis: number, dimsOf: (name: string) => readonly number[]): number | undefined {
  const before = dimsOf(node.inputs[0]!);
  if (node.op === "Transpose") {
    const perm = attributesOf(node).ints("perm") ?? before.map((_, i) => before.length - 1 - i);
    return perm.indexOf(axis);
  }
  if (!KEEP_ORDER.has(node.op)) return undefined;
  const after = dimsOf(node.outputs[0]!);
  const lead = sizeOf(before.slice(0, axis));
  const found = after.findIndex((size, i) => size === before[axis] && sizeOf(after.slice(0, i)) === lead);
  return found < 0 ? undefined : found;
}
