import { invariant, type Tensor } from "../../base/index.js";
import { type Model, producersOf } from "../ir/index.js";
import { findPatches, type Patch, PATCHES_KEY, type Replaced, withoutBranches } from "./attach.js";
import { addProduct } from "./low-rank.js";

/**
 * The model with its patches for good, and nothing to detach: changes of layers are added to the weights, so that these layers cost what
 * they did; branches behind groups stay as layers of its own, the factors of residual ones multiplied into U.
 */
export function mergePatches(model: Model): Model {
  const patches = findPatches(model);
  const layers = patches.flatMap(({ replaced }) => replaced.filter(({ isLayer }) => isLayer));
  const added = withoutBranches(layers.reduce(addIn, model), layers);
  const merged = patches.filter(({ shape }) => shape.form === "residual").reduce(multiplyIn, added);
  const metadata = new Map(merged.metadata);
  metadata.delete(PATCHES_KEY);
  return { ...merged, metadata };
}

function addIn(model: Model, { before, branch }: Replaced): Model {
  const { graph } = model;
  const initializers = new Map<string, Tensor>(graph.initializers);
  const weight = producersOf(graph).get(before)!.inputs[1]!;
  const [down, up] = ["down", "up"].map((part) => initializers.get(`${branch}.${part}.weight`));
  invariant(down && up, `branch "${branch}" has two weights`);
  initializers.set(weight, addProduct(initializers.get(weight)!, down, up));
  return { ...model, graph: { ...graph, initializers } };
}

function multiplyIn(model: Model, { name, value, layout }: Patch): Model {
  const { graph } = model;
  const producers = producersOf(graph);
  const initializers = new Map<string, Tensor>(graph.initializers);
  const product = producers.get(producers.get(value)!.inputs[1]!);
  const scale = initializers.get(`${name}.scale`);
  invariant(product?.op === "Mul" && scale, `patch "${name}" ends in a product with its factors`);
  const factors = scale.data as Float32Array;
  for (const part of ["weight", "bias"]) {
    const key = `${name}.up.${part}`;
    const { dims, data } = initializers.get(key)!;
    // Rows of a convolution, columns of a product: [C, c, 1, 1] and [c, C].
    const inner = layout === "map" ? data.length / factors.length : 1;
    const scaled = (data as Float32Array).map((x, i) => x * factors[Math.floor(i / inner) % factors.length]!);
    initializers.set(key, { dtype: "float32", dims, data: scaled });
  }
  initializers.delete(`${name}.scale`);
  const [from, to] = [product.outputs[0]!, product.inputs[0]!];
  const nodes = graph.nodes.flatMap((node) =>
    node === product ? [] : [{ ...node, inputs: node.inputs.map((each) => (each === from ? to : each)) }],
  );
  const types = new Map([...graph.types].filter(([each]) => each !== from));
  return { ...model, graph: { ...graph, nodes, initializers, types } };
}
