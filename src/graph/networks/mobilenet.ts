import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels } from "./builder.js";

/** Expansion, channels, repeats, stride of the first: table 2 of the paper. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/**
 * MobileNetV2: expand (1×1), depthwise (3×3), project (1×1, linear), shortcut where the shape stays.
 * Source: Sandler et al. 2018, arXiv:1801.04381. Differs: no dropout; the last 1280 channels shrink with the width.
 */
export function mobileNetV2(options: NetworkOptions): Model {
  const build = new NetworkBuilder("mobilenetv2", options);
  const width = options.width ?? 1;
  const layer = (
    path: string,
    x: Val,
    outputs: number,
    kernel: number,
    extra: { stride?: number; groups?: number } = {},
  ): Val => build.relu6(build.norm(`${path}.1`, build.conv(`${path}.0`, x, outputs, kernel, extra)));

  const block = (path: string, x: Val, outputs: number, stride: number, expansion: number): Val => {
    const hidden = x.dims[1]! * expansion;
    let [y, index] = [x, 0];
    if (expansion !== 1) y = layer(`${path}.layers.${index++}`, y, hidden, 1);
    y = layer(`${path}.layers.${index++}`, y, hidden, 3, { stride, groups: hidden });
    y = build.norm(`${path}.layers.${index + 1}`, build.conv(`${path}.layers.${index}`, y, outputs, 1));
    return stride === 1 && x.dims[1] === outputs ? build.add(x, y) : y;
  };

  let x = layer("stem", build.input, scaleChannels(32, width), 3, { stride: 2 });
  let index = 0;
  for (const [expansion, channels, repeats, stride] of STAGES) {
    for (let i = 0; i < repeats; i++) {
      x = block(`blocks.${index++}`, x, scaleChannels(channels, width), i === 0 ? stride : 1, expansion);
    }
  }
  return build.classify("classifier", layer("head", x, scaleChannels(1280, width), 1));
}
