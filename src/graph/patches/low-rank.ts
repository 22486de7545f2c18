import { LimberError, type Tensor } from "../../base/index.js";
import { ancestorsOf, attributesOf, type Graph, type Model, type Node } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";
import { Branch, namesOf, type Replacement } from "./branch.js";
import type { PatchPoint } from "./split.js";

/** The layers of a group: what leads to its last value, but not to the one in front of it. */
export function nodesOfGroup(graph: Graph, { value, after }: Pick<PatchPoint, "value" | "after">): Node[] {
  const inside = ancestorsOf(graph, [value]);
  const earlier = after === undefined ? new Set<string>() : ancestorsOf(graph, [after]);
  return graph.nodes.filter(({ outputs }) => outputs.some((name) => inside.has(name) && !earlier.has(name)));
}

/**
 * Low-rank updates of a group's own layers: beside a K×K convolution one of `rank` channels and a 1×1 convolution of zeros, beside a
 * product with a weight two narrow ones. W + B·A is again a layer of the same form. Depthwise and grouped layers, and weights that
 * several layers share, get none.
 *
 * Cost: rank · (K²·C + C') numbers for a layer of C to C' channels.
 * Source: Hu et al. 2021, LoRA, arXiv:2106.09685; Zhong et al. 2024, Conv-LoRA, arXiv:2401.17868 (without its experts).
 * Throws: `method.unsuitable` for a group without such layers.
 */
export function besideLayers(
  model: Model,
  point: PatchPoint,
  options: { readonly name: string; readonly rank: number; readonly seed: number; readonly joint: boolean },
): Replacement[] {
  const { graph } = model;
  const { name, rank, seed, joint } = options;
  const names = namesOf(model);
  // where another branch stands behind the group, its last value is taken
  const isFree = ({ outputs }: Node): boolean => !joint || outputs[0] !== point.value;
  const layers = nodesOfGroup(graph, point).filter((node) => findMatrix(graph, node) && isFree(node));
  if (layers.length === 0) {
    const message = `patches: a group with convolutions or products of its own, got group ${point.group}, which has none; use the residual form`;
    throw new LimberError("method.unsuitable", message, { group: point.group });
  }
  return layers.map((node, i): Replacement => {
    const [value] = node.outputs as [string];
    const branch = new Branch(model, `${name}.${i}`, seed);
    const before = new Emitter(1, names).freshName(`${value}:unpatched`);
    const update = writeUpdate(branch, node, findMatrix(graph, node)!, rank);
    branch.emit.add({ ...update, name: before }, update);
    return { value, before, branch };
  });
}

/** The weight of a layer where it is one whole matrix and no other layer's. */
function findMatrix(graph: Graph, node: Node): Tensor | undefined {
  const name = node.inputs[1] ?? "";
  const weight = graph.initializers.get(name);
  const isWhole =
    node.op === "Conv"
      ? weight?.dims.length === 4 && attributesOf(node).int("group", 1) === 1
      : node.op === "MatMul" && weight?.dims.length === 2;
  return isWhole && graph.nodes.every((other) => other === node || !other.inputs.includes(name)) ? weight : undefined;
}

/** Sides of the map for which shapes are inferred: large enough for any kernel, and nothing depends on them. */
const SIDE = 64;

function writeUpdate(branch: Branch, node: Node, { dims }: Tensor, rank: number): Val {
  const { emit } = branch;
  const isMap = node.op === "Conv";
  const [outputs, inputs] = (isMap ? dims : dims.toReversed()) as [number, number];
  const kernel = isMap ? dims.slice(2) : [];
  const fanIn = kernel.reduce((product, side) => product * side, inputs);
  const hidden = Math.min(rank, outputs, fanIn);
  const x = emit.value(node.inputs[0]!, { dtype: "float32", dims: isMap ? [1, inputs, SIDE, SIDE] : [1, inputs] });
  const down = branch.normal("down.weight", isMap ? [hidden, inputs, ...kernel] : [inputs, hidden], fanIn, 1);
  const up = branch.fill("up.weight", isMap ? [outputs, hidden, 1, 1] : [hidden, outputs], 0);
  return isMap
    ? emit.node("Conv", [emit.node("Conv", [x, down], node.attributes)[0], up])[0]
    : emit.matMul(emit.matMul(x, down), up);
}

/** W + B·A, in double precision before it is rounded. Shapes: A [r, C, K, K], B [C', r, 1, 1], W [C', C, K, K]; [C, r], [r, C'], [C, C']. */
export function addProduct(weight: Tensor, down: Tensor, up: Tensor): Tensor {
  const [first, second] = weight.dims.length === 4 ? [up, down] : [down, up];
  const rows = weight.dims[0]!;
  const columns = weight.data.length / rows;
  const rank = first.data.length / rows;
  const [a, b] = [first.data as Float32Array, second.data as Float32Array];
  const data = (weight.data as Float32Array).map((value, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = value;
    for (let r = 0; r < rank; r++) sum += a[row * rank + r]! * b[r * columns + column]!;
    return sum;
  });
  return { dtype: "float32", dims: weight.dims, data };
}
