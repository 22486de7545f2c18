import { attr, type Attributes, attributesOf, type Node } from "../../ir/index.js";
import { BLOCKED_DOMAIN, type Dims, type Layout } from "./layout.js";

const ours = { domain: BLOCKED_DOMAIN };

/** Terms of one partial sum: short chains keep what single precision has. */
const LONGEST_SUM = 128;

/**
 * Normalization, with the statistics of the batch or with given ones: per channel, y = a·x + b.
 *
 * var(x) = mean(x²) − mean(x)², not below 0: one reading of x for each, as in Flax and cuDNN. It loses digits where |mean| is far above
 * the deviation; the plain operator reads twice.
 */
export function normalization(layout: Layout, node: Node): boolean {
  const [image, scale, bias, mean, variance] = node.inputs as [string, string, string, string, string];
  const dims = layout.imageOf(image);
  const attributes = attributesOf(node);
  if (!dims || !layout.isNative(image)) return false;
  const epsilon = layout.scalar(attributes.float("epsilon", 1e-5));
  const channels = dims[1];
  const trains = attributes.int("training_mode", 0) === 1;
  if (trains && attributes.float("momentum", 0.9) !== 0) return false;
  const statistics = trains
    ? measure(layout, image, dims)
    : { mean: layout.vector(mean, channels), variance: layout.vector(variance, channels) };
  const deviation = layout.write("Sqrt", [layout.write("Add", [statistics.variance, epsilon])]);
  const a = layout.write("Div", [layout.vector(scale, channels), deviation]);
  const b = layout.write("Sub", [layout.vector(bias, channels), layout.write("Mul", [statistics.mean, a])]);
  layout.settle(node.outputs[0]!, affine(layout, layout.blocked(image), dims, a, b));
  if (node.outputs[1]) layout.trimmed(statistics.mean, channels, node.outputs[1]);
  if (node.outputs[2]) layout.trimmed(statistics.variance, channels, node.outputs[2]);
  return true;
}

/** The whole of the batch: mean and biased variance of each channel. */
function measure(layout: Layout, image: string, dims: Dims): { mean: string; variance: string } {
  const share = layout.scalar(1 / (dims[0] * dims[2] * dims[3]));
  const x = layout.blocked(image);
  const mean = layout.write("Mul", [sum(layout, x, dims), share]);
  const square = layout.write("Mul", [dot(layout, x, x, dims), share]);
  const difference = layout.write("Sub", [square, layout.write("Mul", [mean, mean])]);
  return { mean, variance: layout.write("Max", [difference, layout.scalar(0)]) };
}

/** a·x + b per channel, as a convolution of one pixel and one channel per group: it can also add an image and activate. */
export function affine(layout: Layout, x: string, dims: Dims, a: string, b?: string): string {
  const channels = layout.filled(dims[1]);
  const weights = layout.reshape(a, [channels, 1, 1, 1]);
  return layout.write("Conv", b === undefined ? [x, weights] : [x, weights, b], pointwise(channels), ours);
}

const pointwise = (channels: number): Attributes => ({
  group: attr.int(channels),
  kernel_shape: attr.ints([1, 1]),
  strides: attr.ints([1, 1]),
  dilations: attr.ints([1, 1]),
  pads: attr.ints([0, 0, 0, 0]),
});

/** Rows of a plane that one partial sum takes, and how many there are. */
function chunksOf([, , height, width]: Dims): { rows: number; chunks: number } {
  let rows = 1;
  for (let each = 1; each <= height; each++) if (height % each === 0 && each * width <= LONGEST_SUM) rows = each;
  return { rows, chunks: height / rows };
}

/** Shapes: blocked [N, C, H, W] → [C], filled. */
export function sum(layout: Layout, x: string, dims: Dims): string {
  const { rows, chunks } = chunksOf(dims);
  const planes = dims[0] * layout.filled(dims[1]) * chunks;
  const means = layout.write("GlobalAveragePool", [layout.reshape(x, [1, planes, rows, dims[3]])], {}, ours);
  return layout.write("Mul", [gather(layout, means, dims, chunks), layout.scalar(rows * dims[3])]);
}

/** Σ x·y per channel: y's planes are kernels as large as the planes of x. Shapes: as `sum`. */
export function dot(layout: Layout, x: string, y: string, dims: Dims): string {
  const { rows, chunks } = chunksOf(dims);
  const planes = dims[0] * layout.filled(dims[1]) * chunks;
  const plane = [rows, dims[3]];
  const [images, kernels] = [layout.reshape(x, [1, planes, ...plane]), layout.reshape(y, [planes, 1, ...plane])];
  const products = layout.write(
    "Conv",
    [images, kernels],
    { ...pointwise(planes), kernel_shape: attr.ints(plane) },
    ours,
  );
  return gather(layout, products, dims, chunks);
}

/** Adds up partial sums of samples and rows. */
function gather(layout: Layout, parts: string, [count, channels]: Dims, chunks: number): string {
  const { block } = layout;
  const blocks = layout.filled(channels) / block;
  const apart = layout.reshape(parts, [count, blocks, chunks, block]);
  const added = layout.write("ReduceSum", [apart, layout.ints([0, 2])], { keepdims: attr.int(0) });
  return layout.reshape(added, [blocks * block]);
}

/** Sums over all axes but the channel's; a product that nothing else reads is never written. */
export function reduction(layout: Layout, node: Node): boolean {
  const [image, axes] = node.inputs as [string, string?];
  const dims = layout.imageOf(image);
  if (!dims || layout.intsOf(axes ?? "")?.join() !== "0,2,3") return false;
  const factors = factorsOf(layout, image);
  if (!factors && !layout.isNative(image)) return false;
  const total = factors
    ? dot(layout, layout.blocked(factors[0]), layout.blocked(factors[1]), dims)
    : sum(layout, layout.blocked(image), dims);
  const keeps = attributesOf(node).int("keepdims", 1) === 1;
  const vector = layout.trimmed(total, dims[1]);
  const target = keeps ? [1, dims[1], 1, 1] : [dims[1]];
  layout.write("Reshape", [vector, layout.ints(target)], {}, { output: node.outputs[0]! });
  return true;
}

/** Of a product that only this sum reads, of images of which one is blocked. */
function factorsOf(layout: Layout, product: string): [string, string] | undefined {
  const writer = layout.writerOf(product);
  return writer && isSummedProduct(layout, writer) ? (writer.inputs as [string, string]) : undefined;
}

/** A product of two images whose only reader sums it up per channel. */
export function isSummedProduct(layout: Layout, node: Node): boolean {
  if (node.op !== "Mul") return false;
  const reader = layout.onlyReaderOf(node.outputs[0]!);
  if (reader?.op !== "ReduceSum" || layout.intsOf(reader.inputs[1] ?? "")?.join() !== "0,2,3") return false;
  const dims = node.inputs.map((name) => layout.imageOf(name)?.join());
  return dims[0] !== undefined && dims[0] === dims[1] && node.inputs.some(layout.isNative);
}

/** An image times, or plus, a value per channel. */
export function perChannel(layout: Layout, node: Node): boolean {
  const dims = layout.imageOf(node.outputs[0]!);
  if (!dims) return false;
  const at = node.inputs.findIndex((name) => layout.imageOf(name)?.join() === dims.join() && layout.isNative(name));
  const vector = node.inputs[1 - at];
  if (at < 0 || vector === undefined || !isPerChannel(layout.shapeOf(vector), dims)) return false;
  const values = layout.vector(vector, dims[1]);
  const x = layout.blocked(node.inputs[at]!);
  const ones = (): string => layout.write("Expand", [layout.scalar(1), layout.ints([layout.filled(dims[1])])]);
  layout.settle(
    node.outputs[0]!,
    node.op === "Mul" ? affine(layout, x, dims, values) : affine(layout, x, dims, ones(), values),
  );
  return true;
}

function isPerChannel(shape: readonly number[] | undefined, [, channels]: Dims): boolean {
  const spread = shape?.length === 4 && shape[0] === 1 ? shape.slice(1) : shape;
  return spread?.length === 3 && spread[0] === channels && spread[1] === 1 && spread[2] === 1 && channels > 1;
}
