import { invariant } from "../../base/index.js";
import type { Val } from "../ops/index.js";
import type { Trunk } from "./builder.js";

/**
 * A feature pyramid: from the last map of the trunk down to finer ones, where the trunk's map of that size is added through a
 * 1×1 convolution, and up to coarser ones by convolutions of stride 2. Finer than the trunk has them, maps grow by transposed convolutions.
 * Strides are powers of two, ascending. Shapes: → a map [N, channels, side / stride, side / stride] for each.
 * Source: Lin et al. 2017, arXiv:1612.03144. Differs: normalization and ReLU in each layer, as small batches from nothing need them.
 */
export function writePyramid(
  { build, maps: mapsOf }: Trunk,
  channels: number,
  strides: readonly number[],
): readonly Val[] {
  const side = build.input.dims[2]!;
  const maps = mapsOf();
  const strideOf = (map: Val): number => side / map.dims[2]!;
  const layer = (path: string, x: Val, kernel: number, stride = 1): Val =>
    build.relu(build.norm(`${path}.1`, build.conv(`${path}.0`, x, channels, kernel, { stride })));

  const last = maps.at(-1)!;
  build.checkImageSize(2 ** Math.round(Math.log2(strideOf(last))));
  const found = new Map<number, Val>();
  let map = layer("pyramid.last", last, 1);
  found.set(strideOf(last), map);
  for (let stride = strideOf(last) / 2; stride >= strides[0]!; stride /= 2) {
    const finer = maps.find((each) => strideOf(each) === stride);
    map = finer
      ? build.add(build.emit.repeat(map, [1, 1, 2, 2]), layer(`pyramid.side.${stride}`, finer, 1))
      : build.relu(build.norm(`pyramid.up.${stride}.1`, build.upConv(`pyramid.up.${stride}.0`, map, channels, 2)));
    found.set(stride, map);
  }
  map = found.get(strideOf(last))!;
  for (let stride = 2 * strideOf(last); stride <= strides.at(-1)!; stride *= 2) {
    map = layer(`pyramid.down.${stride}`, map, 3, 2);
    found.set(stride, map);
  }
  return strides.map((stride) => {
    const level = found.get(stride);
    invariant(level, `stride ${stride} of a pyramid is a power of two`);
    return level;
  });
}
