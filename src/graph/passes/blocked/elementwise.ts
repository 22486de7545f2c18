import { attr, type Attributes, attributesOf, type Node } from "../../ir/index.js";
import { isSummedProduct, perChannel } from "./channels.js";
import { BLOCKED_DOMAIN, type Layout } from "./layout.js";

/** Of zero they make something finite: what fills up the last block stays harmless. */
const HARMLESS = new Set(["Add", "Sub", "Mul", "Sum", "Relu", "Clip", "HardSigmoid", "HardSwish", "Sigmoid", "Tanh"]);

/** Ops on images of one shape and scalars, element by element: the same on blocked tensors, where one of the images is. */
export function elementwise(layout: Layout, node: Node): boolean {
  const output = node.outputs[0]!;
  const dims = layout.imageOf(output);
  if (!dims || !layout.isBlockable(dims[1])) return false;
  if (!layout.isWhole(dims[1]) && !HARMLESS.has(node.op)) return false;
  if (!node.inputs.some(layout.isNative)) return false;
  if (isSummedProduct(layout, node)) {
    layout.defer(node);
    return true;
  }
  const isImage = (name: string): boolean => layout.imageOf(name)?.join() === dims.join();
  const isScalar = (name: string): boolean => name === "" || layout.shapeOf(name)?.length === 0;
  if (!node.inputs.every((name) => isImage(name) || isScalar(name)))
    return (node.op === "Mul" || node.op === "Add") && perChannel(layout, node);
  if (fuse(layout, node)) return true;
  const inputs = node.inputs.map((name) => (name !== "" && isImage(name) ? layout.blocked(name) : layout.plain(name)));
  layout.settle(output, layout.write(node.op, inputs, node.attributes, { domain: node.domain }));
  return true;
}

/** Sums and activations behind a convolution, where nothing else reads what it gives: it does them on the way. */
function fuse(layout: Layout, node: Node): boolean {
  const [first, second] = node.inputs as [string, string?];
  const output = node.outputs[0]!;
  if (node.op === "Add" && second !== undefined && first !== second) {
    for (const [name, other] of [
      [first, second],
      [second, first],
    ] as const) {
      if (!layout.imageOf(other)) continue;
      const writer = layout.takeBack(name, (w) => isConvolution(w) && w.inputs.length < 4 && !w.attributes.activation);
      if (!writer) continue;
      const [x, w, bias = ""] = writer.inputs as [string, string, string?];
      const inputs = [x, w, bias, layout.blocked(other)];
      layout.settle(output, layout.write("Conv", inputs, writer.attributes, { domain: BLOCKED_DOMAIN }));
      return true;
    }
  }
  const activation = activationOf(layout, node);
  const writer = activation && layout.takeBack(first, (w) => isConvolution(w) && !w.attributes.activation);
  if (!writer) return false;
  const attributes = { ...writer.attributes, ...activation };
  layout.settle(output, layout.write("Conv", writer.inputs, attributes, { domain: BLOCKED_DOMAIN }));
  return true;
}

const isConvolution = ({ op, domain }: Node): boolean => op === "Conv" && domain === BLOCKED_DOMAIN;

function activationOf(layout: Layout, node: Node): Attributes | undefined {
  if (node.op === "Relu") return { activation: attr.string("Relu") };
  if (node.op !== "Clip") return undefined;
  const attributes = attributesOf(node);
  const [low, high] = [1, 2].map((i) => layout.scalarOf(node.inputs[i] ?? "")) as [number?, number?];
  const bounds = [low ?? attributes.float("min", NaN), high ?? attributes.float("max", NaN)];
  if (bounds.some(Number.isNaN)) return undefined;
  return { activation: attr.string("Clip"), activation_params: attr.floats(bounds) };
}
