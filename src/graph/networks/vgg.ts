import type { Model } from "../ir/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels } from "./builder.js";

const STAGES = [[64], [128], [256, 256], [512, 512], [512, 512]];

/**
 * VGG-11 with batch normalization and one linear layer as head: a max-pool closes each of the five stages.
 * Source: Simonyan & Zisserman 2015, arXiv:1409.1556, table 1, column A.
 */
export function vgg11(options: NetworkOptions): Model {
  const build = new NetworkBuilder("vgg11", options);
  let x = build.input;
  let index = 0;
  for (const stage of STAGES) {
    for (const channels of stage) {
      const outputs = scaleChannels(channels, options.width ?? 1);
      const convolved = build.conv(`features.${index}`, x, outputs, 3, { bias: true });
      x = build.relu(build.norm(`features.${index + 1}`, convolved));
      index += 3;
    }
    x = build.maxPool(x, 2);
    index += 1;
  }
  return build.classify("classifier", x);
}
