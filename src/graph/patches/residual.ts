import type { Val } from "../ops/index.js";
import type { Branch } from "./branch.js";
import type { PatchPoint } from "./split.js";

const LEAST_HIDDEN = 4;

/**
 * A residual adapter: s ⊙ U(ReLU6(DW(D(h)))), where D narrows the channels, DW is a depthwise convolution, U widens them again and
 * starts as zeros, and s is a factor for each channel. There is no normalization inside: small batches would shake it. Tokens that fill
 * a grid are convolved on it; others are not.
 *
 * Cost: 2C²/ρ + k²·C/ρ + C/ρ + 2C numbers for C channels. Source: Rebuffi et al. 2017, arXiv:1705.08045.
 */
export function writeResidual(
  branch: Branch,
  x: Val,
  point: PatchPoint,
  { reduction, kernel }: { readonly reduction: number; readonly kernel: number },
): Val {
  const { emit } = branch;
  const hidden = Math.max(LEAST_HIDDEN, Math.round(point.channels / reduction));
  const narrow = branch.mix("down", x, hidden, 1);
  const mixed = point.grid
    ? branch.overMap(narrow, point, (map) => branch.conv("depth", map, hidden, kernel, hidden))
    : narrow;
  const wide = branch.mix("up", branch.relu6(mixed), point.channels);
  const scale = branch.fill("scale", point.layout === "map" ? [point.channels, 1, 1] : [point.channels], 1);
  return emit.mul(wide, scale);
}
