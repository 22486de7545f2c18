import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels } from "./builder.js";

/** Squeezed and expanded channels of each fire module; a max-pool stands before the first, third and fifth. */
const FIRES = [
  [16, 64],
  [16, 64],
  [32, 128],
  [32, 128],
  [48, 192],
  [48, 192],
  [64, 256],
  [64, 256],
] as const;

/**
 * SqueezeNet 1.1: fire modules, a squeezing 1×1 convolution before a 1×1 and a 3×3 side by side; the classes are the last channels.
 * Source: Iandola et al. 2016, arXiv:1602.07360, and the authors' version 1.1. Differs: no dropout; the first convolution is padded.
 */
export function squeezeNet(options: NetworkOptions): Model {
  const build = new NetworkBuilder("squeezenet", options);
  const scaled = (channels: number): number => scaleChannels(channels, options.width ?? 1);
  const layer = (path: string, x: Val, outputs: number, kernel: number, stride = 1): Val =>
    build.relu(build.conv(path, x, outputs, kernel, { stride, bias: true }));

  let x = layer("stem", build.input, scaled(64), 3, 2);
  FIRES.forEach(([squeezed, expanded], i) => {
    if (i < 6 && i % 2 === 0) x = build.maxPool(x, 3, { ceil: true });
    const narrow = layer(`fires.${i}.squeeze`, x, scaled(squeezed), 1);
    const wide = [1, 3].map((kernel) => layer(`fires.${i}.expand${kernel}`, narrow, scaled(expanded), kernel));
    x = build.emit.concat(wide, 1);
  });
  return build.finish(build.pooled(layer("classifier", x, options.classes, 1)));
}
