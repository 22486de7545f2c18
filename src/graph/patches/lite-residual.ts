import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { parametersOf } from "../passes/index.js";
import { addBeside, type Attached, type Branch, requireGrid } from "./branch.js";
import type { PatchPoint } from "./split.js";

export interface LiteResidualOptions {
  readonly seed?: number | undefined;
}

/** Channels that a convolution of the branch mixes with each other. */
const GROUP = 8;

/** Half of the resolution, a 3×3 convolution in groups of channels, ReLU, a 1×1 convolution of zeros, nearest upsampling. */
export function writeLite(branch: Branch, x: Val, point: PatchPoint): Val {
  const [rows, columns] = requireGrid("lite residual", point);
  const half = rows % 2 === 0 && columns % 2 === 0 ? 2 : 1;
  const groups = point.channels % GROUP === 0 ? point.channels / GROUP : 1;
  return branch.overMap(x, point, (map) => {
    const hidden = branch.emit.relu(branch.conv("group", branch.shrink(map, half), point.channels, 3, groups));
    return branch.emit.repeat(branch.mix("out", hidden, point.channels), [1, 1, half, half]);
  });
}

/**
 * TinyTL: the biases of all layers train, and beside each group's value a lite residual branch, which works at half of the resolution:
 * average pooling, a 3×3 convolution in groups of channels, ReLU, a 1×1 convolution of zeros, nearest upsampling.
 * Changes nothing until it trains.
 * Source: Cai et al. 2020, TinyTL, arXiv:2007.11622. Differs: one branch for each group of layers, not for each block; no normalization
 * inside; the branch reads the group's output.
 */
export function attachLiteResidual(
  model: Model,
  points: readonly PatchPoint[],
  { seed = 0 }: LiteResidualOptions = {},
): Attached {
  const biases = parametersOf(model).flatMap(({ name, role }) => (role.endsWith("bias") ? [name] : []));
  const attached = addBeside(model, points, { base: "lite", seed, write: writeLite });
  return { model: attached.model, parameters: [...attached.parameters, ...biases] };
}
