import { attr, attributesOf, type Node } from "../../ir/index.js";
import { BLOCKED_DOMAIN, type Layout, pixelsOf } from "./layout.js";

/** Moves nothing: written when its output is read in plain form. */
export function view(layout: Layout, node: Node): boolean {
  layout.defer(node);
  return true;
}

/** Channels to the end, of an image or of its pixels in one row: the runtime has a move from blocks to that. */
export function transposition(layout: Layout, node: Node): boolean {
  const perm = attributesOf(node).ints("perm");
  const input = node.inputs[0]!;
  const shape = layout.shapeOf(input);
  if (!perm || !shape) return false;
  const image = perm.join() === "0,2,3,1" ? input : pixelRowsOf(layout, input, shape, perm);
  if (image === undefined || !layout.isNative(image)) return false;
  const last = layout.channelsLast(image);
  const target = layout.ints(perm.map((axis) => shape[axis]!));
  layout.write("Reshape", [last, target], {}, { output: node.outputs[0]! });
  return true;
}

/** The image of which the input has the pixels in a row, [N, C, L] or [N, 1, C, L], if the last two axes are exchanged. */
function pixelRowsOf(
  layout: Layout,
  input: string,
  shape: readonly number[],
  perm: readonly number[],
): string | undefined {
  const writer = layout.writerOf(input);
  const source = writer?.op === "Reshape" ? writer.inputs[0]! : "";
  const dims = layout.imageOf(source);
  const isExchange = (shape.length === 3 ? ["0,2,1"] : ["0,1,3,2", "1,0,3,2"]).includes(perm.join());
  if (!dims || !isExchange) return undefined;
  const rows = shape.length === 3 ? shape : shape[1] === 1 ? [shape[0]!, ...shape.slice(2)] : [];
  return rows.join() === [dims[0], dims[1], pixelsOf(dims)].join() ? source : undefined;
}

/** Images one behind another along the channels, where every part fills its blocks. */
export function concatenation(layout: Layout, node: Node): boolean {
  const images = node.inputs.map((name) => layout.imageOf(name));
  if (attributesOf(node).int("axis", 0) !== 1 || !images.every((dims) => dims && layout.isWhole(dims[1]))) return false;
  if (!node.inputs.some(layout.isNative)) return false;
  const inputs = node.inputs.map((name) => layout.blocked(name));
  layout.settle(node.outputs[0]!, layout.write("Concat", inputs, { axis: attr.int(1) }));
  return true;
}

/** Channels from whole blocks to whole blocks. */
export function slice(layout: Layout, node: Node): boolean {
  const [input, ...bounds] = node.inputs as [string, ...string[]];
  const dims = layout.imageOf(input);
  const [starts, ends, axes, steps = [1]] = bounds.map((name) => layout.intsOf(name));
  if (!dims || !layout.isNative(input) || axes?.join() !== "1" || steps?.join() !== "1") return false;
  const output = layout.imageOf(node.outputs[0]!);
  const start = starts?.[0] ?? -1;
  if (!output || start < 0 || !ends || !layout.isWhole(start) || !layout.isWhole(output[1]) || !layout.isWhole(dims[1]))
    return false;
  const limits = [[start], [start + output[1]], [1]].map((each) => layout.ints(each));
  layout.settle(node.outputs[0]!, layout.write("Slice", [layout.blocked(input), ...limits]));
  return true;
}

/** The mean of every plane; of one pixel, blocks are in plain order. */
export function globalAverage(layout: Layout, node: Node): boolean {
  const input = node.inputs[0]!;
  const dims = layout.imageOf(input);
  if (!dims || !layout.isNative(input) || !layout.isWhole(dims[1])) return false;
  layout.write("GlobalAveragePool", [layout.blocked(input)], {}, { domain: BLOCKED_DOMAIN, output: node.outputs[0]! });
  return true;
}

/** Pooling by windows, without the places of the largest. */
export function pool(layout: Layout, node: Node): boolean {
  const input = node.inputs[0]!;
  const dims = layout.imageOf(input);
  const isPlain = attributesOf(node).int("ceil_mode", 0) === 0 && !node.outputs[1];
  if (!dims || !isPlain || !layout.isNative(input) || !layout.isBlockable(dims[1])) return false;
  layout.settle(
    node.outputs[0]!,
    layout.write(node.op, [layout.blocked(input)], node.attributes, { domain: BLOCKED_DOMAIN }),
  );
  return true;
}

/** One value per plane over the whole plane. */
export function expansion(layout: Layout, node: Node): boolean {
  const dims = layout.imageOf(node.outputs[0]!);
  const source = layout.imageOf(node.inputs[0]!);
  const isPlaneWise = source && dims && source[2] === 1 && source[3] === 1 && source[0] === dims[0];
  if (!isPlaneWise || source[1] !== dims[1] || !layout.isWhole(dims[1])) return false;
  const { block } = layout;
  const blocks = dims[1] / block;
  const values = layout.reshape(layout.plain(node.inputs[0]!), [dims[0], blocks, 1, block]);
  const whole = layout.write("Expand", [values, layout.ints([dims[0], blocks, pixelsOf(dims), block])]);
  layout.settle(node.outputs[0]!, layout.reshape(whole, dims));
  return true;
}
