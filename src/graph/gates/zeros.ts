import { toNumbers } from "../../base/index.js";
import { attributesOf, type Graph, type Node } from "../ir/index.js";

const PRODUCTS: ReadonlySet<string> = new Set(["ConvTranspose", "Gemm", "MatMul", "FusedMatMul", "Einsum"]);

/** A convolution of each channel with a kernel of its own. */
const isDepthwise = ({ op, inputs }: Node, { initializers }: Graph): boolean =>
  op === "Conv" && initializers.get(inputs[1]!)?.dims[1] === 1;

/** Whether a node makes channels out of others. */
export const isMixing = (node: Node, graph: Graph): boolean =>
  PRODUCTS.has(node.op) || (node.op === "Conv" && !isDepthwise(node, graph));

/** f(0) = 0, element by element, pixel by pixel, or by moving elements; other inputs are settings or slopes. */
const KEEP_ZERO: ReadonlySet<string> = new Set([
  ...["Relu", "LeakyRelu", "PRelu", "Elu", "Celu", "Selu", "Gelu", "HardSwish", "Mish", "ThresholdedRelu", "Softsign"],
  ...["Abs", "Neg", "Sign", "Sqrt", "Erf", "Tanh", "Sin", "Tan", "Sinh", "Asin", "Atan", "Asinh", "Atanh"],
  ...["Ceil", "Floor", "Round", "Identity", "Cast", "Dropout", "Div"],
  ...["MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"],
  ...["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"],
  ...["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile", "Slice", "Split", "Gather"],
  ...["DepthToSpace", "SpaceToDepth", "Resize"],
]);

/**
 * Whether the outputs of a node are zero along a channel where the inputs named by `isZero` are. `carries` tells which values
 * have the channel at all.
 */
export function passesZero(
  node: Node,
  graph: Graph,
  isZero: (name: string) => boolean,
  carries: (name: string) => boolean,
): boolean {
  const first = isZero(node.inputs[0] ?? "");
  const setting = (index: number, absent: number): number => findNumber(graph, node.inputs[index], absent);
  switch (node.op) {
    case "Mul":
      return node.inputs.some(isZero);
    case "Add":
    case "Sub":
    case "Sum":
      return node.inputs.every(isZero);
    case "Concat":
      return node.inputs.some(isZero) && node.inputs.every((name) => isZero(name) || !carries(name));
    case "Clip":
      return first && setting(1, -Infinity) <= 0 && setting(2, Infinity) >= 0;
    case "Pad":
      return first && setting(2, 0) === 0;
    case "Conv":
      return first && isDepthwise(node, graph) && (node.inputs[2] ?? "") === "";
    default:
      return first && KEEP_ZERO.has(node.op);
  }
}

/** A number that the graph writes down, `absent` for none; NaN where it is computed. */
function findNumber({ initializers, nodes }: Graph, name = "", absent: number): number {
  if (name === "") return absent;
  const writer = nodes.find(({ op, outputs }) => op === "Constant" && outputs[0] === name);
  const value = initializers.get(name) ?? (writer && attributesOf(writer).tensor("value"));
  return value ? toNumbers(value)[0]! : writer ? attributesOf(writer).float("value_float", NaN) : NaN;
}
