import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels } from "./builder.js";

const LEVELS = [32, 64, 128, 256];

/**
 * U-Net: encoder, decoder, and at each size the encoder's map beside the decoder's; a class per pixel. Shapes: → [N, classes, H, W].
 * Source: Ronneberger et al. 2015, arXiv:1505.04597. Differs: half of the channels, one level less, padded convolutions with norm.
 */
export function uNet(options: NetworkOptions): Model {
  const build = new NetworkBuilder("unet", options);
  build.checkImageSize(2 ** (LEVELS.length - 1));
  const channels = LEVELS.map((exact) => scaleChannels(exact, options.width ?? 1));
  const layer = (path: string, index: number, x: Val, outputs: number): Val =>
    build.relu(build.norm(`${path}.${index + 1}`, build.conv(`${path}.${index}`, x, outputs, 3)));
  const pair = (path: string, x: Val, outputs: number): Val => layer(path, 3, layer(path, 0, x, outputs), outputs);

  const maps: Val[] = [];
  let x = build.input;
  channels.forEach((outputs, level) => {
    x = pair(`encoder.${level}`, level === 0 ? x : build.maxPool(x, 2), outputs);
    maps.push(x);
  });
  for (let level = channels.length - 2; level >= 0; level--) {
    const raised = build.upConv(`up.${level}`, x, channels[level]!, 2);
    x = pair(`decoder.${level}`, build.emit.concat([maps[level]!, raised], 1), channels[level]!);
  }
  return build.finish(build.conv("classifier", x, options.classes, 1, { bias: true }));
}
