import { Random, sizeOf, type Tensor, zeros } from "../../src/base/index.js";
import { attr, inferShapes, type Model, type Node } from "../../src/graph/index.js";
import { node } from "./graph.js";

/** A model with a small branch beside some of its values, and which parameters are the branches'. */
export interface Patched {
  readonly model: Model;
  readonly parameters: readonly string[];
}

/**
 * Adds a patch behind values of a model: 1×1 convolution to a few channels, ReLU6, depthwise 3×3, and a 1×1 convolution of zeros back, added
 * to the value. As it is made it changes nothing. Shapes: values [N, C, H, W].
 */
export function addPatches(model: Model, values: readonly string[], channels = 4, seed = 1): Patched {
  const { types } = inferShapes(model, { batch: 1 }).graph;
  const initializers = new Map<string, Tensor>(model.graph.initializers);
  const random = new Random(seed).fork("patches");
  const draw = (name: string, dims: readonly number[], isZero = false): string => {
    const data = Float32Array.from({ length: sizeOf(dims) }, () => random.normal(0, 0.3));
    initializers.set(name, isZero ? zeros("float32", dims) : { dtype: "float32", dims, data });
    return name;
  };
  const patchOf = (value: string, index: number): Node[] => {
    const width = Number(types.get(value)!.dims![1]);
    const path = `patches.${index}`;
    const inner = (part: string): string => `${path}/${part}`;
    initializers.set(`${path}.low`, zeros("float32", []));
    initializers.set(`${path}.high`, { dtype: "float32", dims: [], data: Float32Array.of(6) });
    const pads = attr.ints([1, 1, 1, 1]);
    return [
      node("Conv", [inner("before"), draw(`${path}.down.weight`, [channels, width, 1, 1])], [inner("down")]),
      node("Clip", [inner("down"), `${path}.low`, `${path}.high`], [inner("relu6")]),
      node("Conv", [inner("relu6"), draw(`${path}.depth.weight`, [channels, 1, 3, 3])], [inner("depth")], {
        ...{ pads, group: attr.int(channels) },
      }),
      node("Conv", [inner("depth"), draw(`${path}.up.weight`, [width, channels, 1, 1], true)], [inner("up")]),
      node("Add", [inner("before"), inner("up")], [value]),
    ];
  };
  const nodes = model.graph.nodes.flatMap((each) => {
    const index = values.indexOf(each.outputs[0]!);
    if (index < 0) return [each];
    const renamed = { ...each, outputs: [`patches.${index}/before`, ...each.outputs.slice(1)] };
    return [renamed, ...patchOf(each.outputs[0]!, index)];
  });
  const patched = { ...model, graph: { ...model.graph, nodes, initializers, types: new Map() } };
  const parameters = [...initializers.keys()].filter((name) => /^patches\..*weight$/.test(name));
  return { model: patched, parameters };
}
