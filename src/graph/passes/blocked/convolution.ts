import { attr, type Attributes, attributesOf, type Node } from "../../ir/index.js";
import { BLOCKED_DOMAIN, type Dims, type Layout, pixelsOf } from "./layout.js";

/** Wider dense kernels than this are read again for every row: too slow on small maps (measured at 256 and 512 channels). */
const WIDEST_DENSE = 128;
const ROOMY_MAP = 64;

/** How much more a convolution may compute because its channels are filled up. */
const MOST_FILLING = 2;

/** A larger one is the gradient of an output, in the gradient of a kernel. */
const LARGEST_KERNEL = 7;

/**
 * Convolutions with one group, or with one channel per group, on blocked tensors.
 *
 * With a constant kernel the runtime does this by itself, and folds what stands around it; those stay, unless they stand among blocked values.
 */
export function convolution(layout: Layout, node: Node): boolean {
  const [x, w] = node.inputs.map((name) => layout.imageOf(name));
  const [image, kernel, bias = ""] = node.inputs as [string, string, string?];
  const form = x && w && formOf(layout, node, x, w);
  if (!form) return false;
  const inputs = {
    depthwise: () => [layout.blocked(image), layout.blockedPlanes(kernel)],
    dense: () => [layout.blocked(image), denseKernel(layout, kernel, w)],
    stem: () => [layout.plain(image), stemKernel(layout, kernel, w)],
  }[form]();
  if (bias !== "") inputs.push(layout.vector(bias, w[0]));
  const group = attr.int(form === "depthwise" ? layout.filled(w[0]) : 1);
  const attributes = { ...node.attributes, group, kernel_shape: attr.ints(w.slice(2)) };
  layout.settle(node.outputs[0]!, layout.write("Conv", inputs, attributes, { domain: BLOCKED_DOMAIN }));
  return true;
}

type Form = "depthwise" | "dense" | "stem";

function formOf(layout: Layout, node: Node, x: Dims, w: Dims): Form | undefined {
  const [image, kernel] = node.inputs as [string, string];
  const isNative = layout.isNative(image);
  if (layout.graph.initializers.has(kernel) && !isNative) return undefined;
  const group = attributesOf(node).int("group", 1);
  if (group === x[1] && w[0] === group && w[1] === 1 && group > 1)
    return layout.isBlockable(group) ? "depthwise" : undefined;
  if (group > 1) return undefined;
  const isPoint = w[2] * w[3] === 1;
  if (w[2] > LARGEST_KERNEL || w[3] > LARGEST_KERNEL) return undefined;
  if (x[1] < layout.block && layout.isWhole(w[0]) && !isNative && !isPoint) return "stem";
  if (!layout.isBlockable(w[0]) || !layout.isBlockable(w[1])) return undefined;
  if (!isNative && layout.filled(w[0]) * layout.filled(w[1]) > MOST_FILLING * w[0] * w[1]) return undefined;
  const isNarrow = w[0] <= WIDEST_DENSE && w[1] <= WIDEST_DENSE;
  return isPoint || isNarrow || pixelsOf(x) >= ROOMY_MAP ? "dense" : undefined;
}

/**
 * Shapes: [O, I, K, K] → in memory O/b, I/b, K·K, i, o, under the dims of the filled kernel.
 * A block of output channels, seen as an image of I·K·K pixels, is brought into place by the move for images; what remains moves in
 * runs of one block.
 */
function denseKernel(layout: Layout, name: string, dims: Dims): string {
  const [outputs, inputs, ...kernel] = dims;
  const { block } = layout;
  const [rows, columns] = [layout.filled(outputs), layout.filled(inputs)];
  const size = kernel[0] * kernel[1];
  let plain = layout.plain(name);
  if (rows > outputs || columns > inputs) {
    const ends = [rows - outputs, columns - inputs, 0, 0];
    plain = layout.write("Pad", [plain, layout.ints([0, 0, 0, 0, ...ends])]);
  }
  const images = layout.reshape(plain, [rows / block, block, columns, size]);
  const turned = layout.write("ReorderInput", [images], {}, { domain: BLOCKED_DOMAIN });
  if (size === 1) return layout.reshape(turned, [rows, columns, ...kernel]);
  const runs = layout.reshape(turned, [(rows * columns) / block ** 2, block, size, block]);
  return layout.reshape(layout.transpose(runs, [0, 2, 1, 3]), [rows, columns, ...kernel]);
}

/** The kernel over a plain image of few channels. Shapes: [O, I, K, K] → in memory O/b, I, K·K, o. */
function stemKernel(layout: Layout, name: string, dims: Dims): string {
  const [outputs, ...rest] = dims;
  const { block } = layout;
  const parts = layout.reshape(layout.plain(name), [outputs / block, block, rest.reduce((a, b) => a * b)]);
  return layout.reshape(layout.transpose(parts, [0, 2, 1]), dims);
}

/**
 * The gradient of a strided convolution with respect to its input: pixels that lie alike between two windows make one convolution
 * each, and are woven together in runs of one block. Source: the same identity as `phases` in `ops/gradient/conv/input.ts`.
 */
export function transposedConvolution(layout: Layout, node: Node): boolean {
  const attributes = attributesOf(node);
  const [x, w] = node.inputs.map((name) => layout.imageOf(name));
  const y = layout.imageOf(node.outputs[0]!);
  const [image, kernel, bias] = node.inputs as [string, string, string?];
  if (!x || !w || !y || bias || !layout.isNative(image)) return false;
  const group = attributes.int("group", 1);
  const isDepthwise = group === x[1] && w[1] === 1;
  if (!isDepthwise && (group > 1 || !layout.isWhole(w[0]) || !layout.isWhole(w[1]))) return false;
  if (isDepthwise && !layout.isWhole(group)) return false;
  const strides = attributes.ints("strides") ?? [1, 1];
  const dilations = attributes.ints("dilations") ?? [1, 1];
  const pads = attributes.ints("pads") ?? [0, 0, 0, 0];
  const fits = [0, 1].every((axis) => y[axis + 2] === x[axis + 2]! * strides[axis]! && dilations[axis] === 1);
  if (!fits || strides.some((s) => s !== 2)) return false;
  const taps = [0, 1].map((axis) =>
    [0, 1].map((residue) => tapsOf(w[axis + 2]!, strides[axis]!, pads[axis]!, residue)),
  ) as [Taps[], Taps[]];
  const isEmpty = ({ elements }: Taps): boolean => elements.length === 0;
  if (taps.flat().some((each) => !isEmpty(each) && (each.start > 0 || beyond(each) < 0))) return false;
  const onlyFirst = taps.every(([first, second]) => !isEmpty(first!) && isEmpty(second!));
  if (!onlyFirst && taps.some((each) => each.some(isEmpty))) return false;
  const bank = isDepthwise ? planeBank(layout, kernel, w) : kernelBank(layout, kernel, w);
  const phase = (row: Taps, column: Taps): string =>
    layout.write(
      "Conv",
      [layout.blocked(image), bank(row.elements, column.elements)],
      windowOf(row, column, isDepthwise ? group : 1),
      {
        domain: BLOCKED_DOMAIN,
      },
    );
  const [rows, columns] = taps;
  const dims: Dims = [x[0], y[1], x[2], x[3]];
  const woven = onlyFirst
    ? spread(layout, phase(rows[0]!, columns[0]!), dims)
    : weave(
        layout,
        rows.map((row) => columns.map((column) => phase(row, column))),
        dims,
      );
  layout.settle(node.outputs[0]!, layout.reshape(woven, y));
  return true;
}

/** Along one axis: elements of the kernel that reach pixels q·stride + residue, last first, and where in dY the first one reads. */
interface Taps {
  readonly elements: readonly number[];
  readonly start: number;
}

function tapsOf(size: number, stride: number, pad: number, residue: number): Taps {
  const source = (k: number): number => (residue + pad - k) / stride;
  const elements = Array.from({ length: size }, (_, i) => size - 1 - i).filter((k) => Number.isInteger(source(k)));
  return { elements, start: elements.length > 0 ? source(elements[0]!) : 0 };
}

/** What a phase reads beyond the end: its output is as large as dY. */
const beyond = ({ start, elements }: Taps): number => start + elements.length - 1;

function windowOf(row: Taps, column: Taps, group: number): Attributes {
  return {
    group: attr.int(group),
    kernel_shape: attr.ints([row.elements.length, column.elements.length]),
    strides: attr.ints([1, 1]),
    dilations: attr.ints([1, 1]),
    pads: attr.ints([-row.start, -column.start, beyond(row), beyond(column)]),
  };
}

type Bank = (rows: readonly number[], columns: readonly number[]) => string;

/** Picks elements of a kernel in blocked form. Shapes: [M, C, K, K] → [C, M, rows, columns]. */
function kernelBank(layout: Layout, name: string, dims: Dims): Bank {
  const [outputs, inputs, height, width] = dims;
  const { block } = layout;
  const size = height * width;
  const images = layout.write("ReorderInput", [layout.plain(name)], {}, { domain: BLOCKED_DOMAIN });
  const runs = layout.reshape(images, [outputs / block, block, inputs / block, size, block]);
  const bank = layout.transpose(runs, [2, 0, 3, 1, 4]); // C/b, M/b, K·K, m, c
  return (rows, columns) => {
    const picked = rows.flatMap((row) => columns.map((column) => row * width + column));
    const elements = size === 1 ? bank : layout.write("Gather", [bank, layout.ints(picked)], { axis: attr.int(2) });
    return layout.reshape(elements, [inputs, outputs, rows.length, columns.length]);
  };
}

/** The same with one plane per channel. Shapes: [C, 1, K, K] → [C, 1, rows, columns]. */
function planeBank(layout: Layout, name: string, [channels, , height, width]: Dims): Bank {
  const { block } = layout;
  const bank = layout.reshape(layout.blockedPlanes(name), [channels / block, height * width, block]);
  return (rows, columns) => {
    const picked = rows.flatMap((row) => columns.map((column) => row * width + column));
    const elements = layout.write("Gather", [bank, layout.ints(picked)], { axis: attr.int(1) });
    return layout.reshape(elements, [channels, 1, rows.length, columns.length]);
  };
}

/** Rows and columns of four phases in turn. Shapes: each [N, C, H, W] → [N·C/b·H, 2·W·2·b]. */
function weave(layout: Layout, phases: readonly (readonly string[])[], [count, channels, height, width]: Dims): string {
  const { block } = layout;
  const lines = (count * channels * height) / block;
  const rows = phases.map((columns) => {
    const runs = columns.map((phase) => layout.reshape(phase, [lines, width, block]));
    return layout.reshape(layout.write("Concat", runs, { axis: attr.int(2) }), [lines, width * 2 * block]);
  });
  return layout.write("Concat", rows, { axis: attr.int(1) });
}

/** Zeros behind every pixel and every row. Shapes: as `weave`. */
function spread(layout: Layout, phase: string, [count, channels, height, width]: Dims): string {
  const { block } = layout;
  const single = layout.reshape(phase, [(count * channels * height) / block, 1, width, block]);
  return layout.write("Pad", [single, layout.ints([0, 0, 0, 0, 0, 1, 0, block])]);
}
