import { type NumericArray, sizeOf, type Tensor } from "../../base/index.js";
import { attributesOf, consumersOf, type Graph, type Node, producersOf } from "../ir/index.js";

/** An operand that takes up a factor per channel, and the axis of its channels. */
type Operand = readonly [index: number, axis: number];

/** The inputs of a node that scale its output, channel by channel, when they are scaled; the data it reads is none of them. */
function operandsOf(node: Node, graph: Graph): readonly Operand[] | undefined {
  const rankOf = (index: number): number => graph.initializers.get(node.inputs[index] ?? "")?.dims.length ?? 0;
  switch (node.op) {
    case "BatchNormalization":
      return [1, 2].map((index) => [index, 0]);
    case "Conv":
      return [1, 2].map((index) => [index, 0]);
    case "Gemm":
      return [
        [1, attributesOf(node).int("transB", 0) === 1 ? 0 : 1],
        [2, rankOf(2) - 1],
      ];
    case "MatMul":
      return [[1, rankOf(1) - 1]];
    default:
      return undefined;
  }
}

/** The nodes whose weights scale a value, with their operands: one, or a bias and the product that it is added to. */
function layersOf(graph: Graph, value: string): readonly (readonly [Node, readonly Operand[]])[] | undefined {
  const node = producersOf(graph).get(value);
  if (!node) return undefined;
  if (node.op === "Add") {
    const bias = node.inputs.findIndex((name) => graph.initializers.has(name));
    const product = bias < 0 ? undefined : layersOf(graph, node.inputs[1 - bias]!);
    const rank = bias < 0 ? 0 : graph.initializers.get(node.inputs[bias]!)!.dims.length;
    const isVector = rank === 1 && product?.length === 1 && product[0]![0].op === "MatMul";
    return isVector ? [[node, [[bias, 0]]], ...product] : undefined;
  }
  const operands = operandsOf(node, graph)?.filter(([index]) => (node.inputs[index] ?? "") !== "");
  const isOwn = operands?.every(([index, axis]) => graph.initializers.has(node.inputs[index]!) && axis >= 0);
  return isOwn && operands!.length > 0 ? [[node, operands!]] : undefined;
}

/** Whether the layer that makes a value can take up a factor per channel. */
export const canScale = (graph: Graph, value: string): boolean => layersOf(graph, value) !== undefined;

/**
 * Multiplies a value by one factor per channel, in the weights of the layer that makes it. Weights that others read too are
 * copied first. The value has to be one that `canScale`, and be read after scaling only.
 */
export function scaleValue(graph: Graph, value: string, factors: readonly number[]): Graph {
  const layers = new Map(layersOf(graph, value) ?? []);
  const consumers = consumersOf(graph);
  const initializers = new Map(graph.initializers);
  const nodes = graph.nodes.map((node) => {
    const operands = layers.get(node);
    if (!operands) return node;
    const inputs = [...node.inputs];
    for (const [index, axis] of operands) {
      const name = inputs[index]!;
      const isShared = consumers.get(name)!.length > 1 || node.inputs.filter((each) => each === name).length > 1;
      const own = isShared ? `${name}:${value}:${index}` : name;
      initializers.set(own, scaleAlong(graph.initializers.get(name)!, axis, factors));
      inputs[index] = own;
    }
    return { ...node, inputs };
  });
  return { ...graph, nodes, initializers };
}

function scaleAlong(tensor: Tensor, axis: number, factors: readonly number[]): Tensor {
  const data = (tensor.data as NumericArray).slice();
  const inner = sizeOf(tensor.dims.slice(axis + 1));
  for (let i = 0; i < data.length; i++) data[i] = Number(data[i]) * factors[Math.floor(i / inner) % factors.length]!;
  return { ...tensor, data };
}
