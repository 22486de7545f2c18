import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels } from "./builder.js";

const DEPTHS = [2, 2, 6, 2];
/** Scale of a block's contribution at the start. */
const LAYER_SCALE = 1e-6;

/**
 * ConvNeXt-Atto: 7×7 depthwise, then a perceptron per pixel in channels-last order.
 * Source: Liu et al. 2022, arXiv:2201.03545; sizes of Atto: Woo et al. 2023, arXiv:2301.00808. Differs: no stochastic depth.
 */
export function convNeXt(options: NetworkOptions): Model {
  const build = new NetworkBuilder("convnext", options);
  const { emit } = build;
  build.checkImageSize(32);
  const channelsLast = (x: Val): Val => emit.transpose(x, [0, 2, 3, 1]);
  const channelsFirst = (x: Val): Val => emit.transpose(x, [0, 3, 1, 2]);

  const block = (path: string, x: Val): Val => {
    const channels = x.dims[1]!;
    const spread = build.conv(`${path}.depthwise`, x, channels, 7, { groups: channels, bias: true });
    const normed = build.layerNorm(`${path}.norm`, channelsLast(spread));
    const inner = build.gelu(build.linear(`${path}.mlp.0`, normed, 4 * channels));
    const scaled = emit.mul(
      build.linear(`${path}.mlp.2`, inner, channels),
      build.fill(`${path}.scale`, channels, LAYER_SCALE),
    );
    return build.add(x, channelsFirst(scaled));
  };
  const shrink = (path: string, x: Val, outputs: number, stride: number): Val =>
    build.conv(path, x, outputs, stride, { stride, pad: 0, bias: true });
  const norm = (path: string, x: Val): Val => channelsFirst(build.layerNorm(path, channelsLast(x)));

  let x = build.input;
  DEPTHS.forEach((depth, stage) => {
    const channels = scaleChannels(40 * 2 ** stage, options.width ?? 1);
    x =
      stage === 0
        ? norm("stem.1", shrink("stem.0", x, channels, 4))
        : shrink(`downsample.${stage - 1}.1`, norm(`downsample.${stage - 1}.0`, x), channels, 2);
    for (let i = 0; i < depth; i++) x = block(`stages.${stage}.${i}`, x);
  });
  return build.classify("classifier", build.layerNorm("norm", emit.reduceMean(x, [2, 3])));
}
