import { sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import { attributesOf, type Graph, type Node } from "../ir/index.js";
import { convGeometry, type Emitter, exchange, offsetsOf, type Val, type WindowGeometry } from "../ops/index.js";

/** Output pixels per sample up to which the kernel, not the image, is what a convolution spends its time on. */
const LARGEST_MAP = 25;

/**
 * Writes trained convolutions on small maps as one product over the whole batch: Y = W [M, C·K] · columns [C·K, N·L].
 *
 * A convolution per sample reads its kernel N times, and a deep layer's kernel is far larger than its 4×4 map. The rules
 * of MatMul and Transpose then give both gradients as products too, and all share the columns.
 * Cost: measured half of Conv and a quarter of ConvTranspose at 512 channels (`limber bench engine`: VGG, ResNet-18).
 */
export function multiplySmallMaps(graph: Graph, parameters: ReadonlySet<string>, emit: Emitter): Graph {
  const nodes = graph.nodes.flatMap((node) => {
    const [x, w, b] = node.inputs.map((name) => valueOf(graph, emit, name));
    if (node.op !== "Conv" || node.domain !== "" || !x || !w || !parameters.has(w.name)) return [node];
    return multiply(node, x, w, b, emit) ?? [node];
  });
  return { ...graph, nodes, types: new Map([...graph.types, ...emit.types]) };
}

function multiply(node: Node, X: Val, W: Val, B: Val | undefined, emit: Emitter): Node[] | undefined {
  const attributes = attributesOf(node);
  const geometry = convGeometry(attributes, X.dims, W.dims);
  const [outputs, channels, ...kernel] = W.dims as [number, number, ...number[]];
  const isPointwise = sizeOf(kernel) === 1;
  if (attributes.int("group", 1) !== 1 || isPointwise || sizeOf(geometry.output) > LARGEST_MAP) return undefined;
  const [count, , ...sizes] = X.dims as [number, number, ...number[]];
  const pixels = sizeOf(geometry.output);
  const images = emit.reshape(X, [count * channels, sizeOf(sizes)]);
  const windows = emit.matMul(images, emit.tensor(windowMatrix(geometry, sizes, X.dtype), "windows"));
  const perChannel = emit.reshape(windows, [count, channels * sizeOf(kernel), pixels]);
  const columns = emit.reshape(emit.transpose(perChannel, [1, 0, 2]), [channels * sizeOf(kernel), count * pixels]);
  const product = emit.matMul(emit.reshape(W, [outputs, channels * sizeOf(kernel)]), columns);
  const biased = B ? emit.add(product, emit.reshape(B, [outputs, 1])) : product;
  exchange(emit, emit.reshape(biased, [outputs, count, ...geometry.output]));
  const written = emit.drain();
  const last = written.pop()!; // keeps the name of the value that it replaces
  return [...written, { ...last, outputs: [node.outputs[0]!] }];
}

/**
 * Which pixel each kernel element sees from each output pixel, as a matrix of zeros and ones: padding, strides and
 * dilations in one constant. On a small map a product with it is cheaper than the copies that it replaces.
 * Shapes: [H·W, K·L].
 */
function windowMatrix(geometry: WindowGeometry, sizes: readonly number[], dtype: Val["dtype"]): Tensor {
  const { kernel, output, strides, dilations, padsBegin } = geometry;
  const offsets = offsetsOf(kernel);
  const places = offsetsOf(output);
  const width = offsets.length * places.length;
  const data = new Float64Array(sizeOf(sizes) * width);
  offsets.forEach((offset, k) => {
    places.forEach((place, o) => {
      const at = place.map((p, i) => p * strides[i]! + offset[i]! * dilations[i]! - padsBegin[i]!);
      if (at.some((a, i) => a < 0 || a >= sizes[i]!)) return;
      const pixel = at.reduce((index, a, i) => index * sizes[i]! + a, 0);
      data[pixel * width + k * places.length + o] = 1;
    });
  });
  return tensorOf(dtype, [sizeOf(sizes), width], data);
}

function valueOf(graph: Graph, emit: Emitter, name: string): Val | undefined {
  const type = graph.initializers.get(name) ?? graph.types.get(name) ?? graph.inputs.find((v) => v.name === name);
  return type?.dims?.every((d) => typeof d === "number") ? emit.value(name, type) : undefined;
}
