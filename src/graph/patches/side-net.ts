import { invariant, LimberError } from "../../base/index.js";
import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { addBeside, type Attached, type Branch, requireGrid } from "./branch.js";
import type { PatchPoint } from "./split.js";

export interface SideNetOptions {
  /** Channels of the side net; default 16. */
  readonly channels?: number | undefined;
  readonly seed?: number | undefined;
}

/**
 * Rep-Net: a tiny network of its own beside the frozen one. It starts at the image, and at each point takes in the backbone's value
 * by a 1×1 convolution, convolves, and gives back to the backbone by a 1×1 convolution of zeros. Changes nothing until it trains.
 * Source: Yang et al. 2022, Rep-Net, CVPR. Differs: 3×3 convolutions with ReLU for its blocks, no normalization.
 * Throws: `method.unsuitable` where maps do not shrink by whole factors from point to point.
 */
export function attachSideNet(
  model: Model,
  points: readonly PatchPoint[],
  { channels = 16, seed = 0 }: SideNetOptions = {},
): Attached {
  const image = model.graph.inputs.find(({ name }) => !model.graph.initializers.has(name));
  const colours = image?.dims?.[1];
  invariant(image && typeof colours === "number", "a model with patch points has an image of known channels");
  let last: { readonly name: string; readonly dims: readonly number[]; readonly stride: number } | undefined;

  const enter = (branch: Branch, { stride }: PatchPoint, grid: readonly [number, number]): Val => {
    const from = last ?? { name: image.name, dims: [1, colours, grid[0] * stride, grid[1] * stride], stride: 1 };
    const factor = last ? last.dims[2]! / grid[0] : stride;
    if (!Number.isInteger(factor)) {
      const message = `side net: maps that shrink by whole factors, got ${factor}; name other values with \`at\``;
      throw new LimberError("method.unsuitable", message, { factor });
    }
    const side = branch.emit.value(from.name, { dtype: "float32", dims: from.dims });
    const small = branch.shrink(side, factor);
    return last ? small : branch.mix("image", small, channels, 1);
  };
  const write = (branch: Branch, x: Val, point: PatchPoint): Val => {
    const grid = requireGrid("side net", point);
    return branch.overMap(x, point, (map) => {
      const taken = branch.emit.add(enter(branch, point, grid), branch.mix("take", map, channels, 1));
      const side = branch.emit.relu(branch.conv("side", taken, channels, 3));
      last = { name: side.name, dims: side.dims, stride: point.stride };
      return branch.mix("give", side, point.channels);
    });
  };
  return addBeside(model, points, { base: "side", seed, write });
}
