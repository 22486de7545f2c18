import { inferShapes, type Dim, type Model } from "../../graph/index.js";
import type { Size } from "../preprocess/window.js";

/** The shape of a model's first output for images of a size, as far as it can be known; undefined where the model does not say. */
export function findOutputDims(model: Model, image: Size): readonly Dim[] | undefined {
  const { graph } = model;
  const stated = graph.outputs[0]?.dims;
  if (stated?.slice(1).every((size) => typeof size === "number")) return stated;
  const input = graph.inputs.find(({ name }) => !graph.initializers.has(name));
  if (input?.dims?.length !== 4) return stated;
  const isChannels = (size: Dim | undefined): boolean => size === 1 || size === 3;
  const sizes = !isChannels(input.dims[1]) && isChannels(input.dims[3]) ? [1, 2] : [2, 3];
  const dims = input.dims.map((dim, axis) =>
    typeof dim === "number" ? dim : axis === sizes[0] ? image.height : axis === sizes[1] ? image.width : axis ? 3 : 1,
  );
  return inferShapes(model, { inputDims: { [input.name]: dims } }).graph.outputs[0]?.dims;
}
