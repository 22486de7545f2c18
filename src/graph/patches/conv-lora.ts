import type { Tensor } from "../../base/index.js";
import { ancestorsOf, attributesOf, type Model, type Node } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";
import { type Attached, Branch, freePrefix, namesOf, type Replacement, replaceValues } from "./branch.js";
import type { PatchPoint } from "./split.js";

export interface ConvLoraOptions {
  /** Channels between the two new kernels; default 4. */
  readonly rank?: number | undefined;
  readonly seed?: number | undefined;
}

/**
 * Low-rank updates of the backbone's own layers: beside a K×K convolution one of `rank` channels and a 1×1 convolution of zeros, beside
 * a product with a weight two narrow ones. All layers up to the last point get one, but depthwise and grouped ones. Changes nothing
 * until it trains; W + B·A is again a layer of the same form.
 * Source: Hu et al. 2021, LoRA, arXiv:2106.09685; Zhong et al. 2024, Conv-LoRA, arXiv:2401.17868 (without its experts).
 */
export function attachConvLora(
  model: Model,
  points: readonly PatchPoint[],
  { rank = 4, seed = 0 }: ConvLoraOptions = {},
): Attached {
  const { graph } = model;
  const names = namesOf(model);
  const inside = ancestorsOf(
    graph,
    points.slice(-1).map(({ value }) => value),
  );
  const replacements = graph.nodes.flatMap((node, i): Replacement[] => {
    const [value] = node.outputs as [string];
    const weight = graph.initializers.get(node.inputs[1] ?? "");
    if (!weight || !inside.has(value) || !isFull(node, weight)) return [];
    const branch = new Branch(model, freePrefix(names, `lora.${i}`), seed);
    const before = new Emitter(1, names).freshName(`${value}:before`);
    const update =
      node.op === "Conv" ? besideConv(branch, node, weight, rank) : besideProduct(branch, node, weight, rank);
    branch.emit.add({ ...update, name: before }, update);
    return [{ value, before, branch }];
  });
  const parameters = replacements.flatMap(({ branch }) => [...branch.initializers.keys()]);
  return { model: replaceValues(model, replacements), parameters };
}

/** Layers whose weight is one whole matrix. */
const isFull = (node: Node, { dims }: Tensor): boolean =>
  node.op === "Conv"
    ? dims.length === 4 && attributesOf(node).int("group", 1) === 1
    : node.op === "MatMul" && dims.length === 2;

/** Sides of the map for which shapes are inferred: large enough for any kernel, and nothing depends on them. */
const SIDE = 64;

function besideConv(branch: Branch, node: Node, { dims }: Tensor, rank: number): Val {
  const [outputs, inputs, ...kernel] = dims as [number, number, number, number];
  const x = branch.emit.value(node.inputs[0]!, { dtype: "float32", dims: [1, inputs, SIDE, SIDE] });
  const fanIn = inputs * kernel[0] * kernel[1];
  const weight = branch.normal("down.weight", [rank, inputs, ...kernel], fanIn, 1);
  const narrow = branch.emit.node("Conv", [x, weight], node.attributes)[0];
  return branch.emit.node("Conv", [narrow, branch.fill("up.weight", [outputs, rank, 1, 1], 0)])[0];
}

function besideProduct(branch: Branch, node: Node, { dims }: Tensor, rank: number): Val {
  const [inputs, outputs] = dims as [number, number];
  const x = branch.emit.value(node.inputs[0]!, { dtype: "float32", dims: [1, inputs] });
  const narrow = branch.emit.matMul(x, branch.normal("down.weight", [inputs, rank], inputs, 1));
  return branch.emit.matMul(narrow, branch.fill("up.weight", [rank, outputs], 0));
}
