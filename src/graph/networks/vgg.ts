import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels, type Trunk } from "./builder.js";

/** Channels of the convolutions of each stage, by how many layers with weights the network has with its three linear ones. */
const STAGES = {
  11: [[64], [128], [256, 256], [512, 512], [512, 512]],
  16: [
    [64, 64],
    [128, 128],
    [256, 256, 256],
    [512, 512, 512],
    [512, 512, 512],
  ],
} as const;

export type VggDepth = keyof typeof STAGES;
export const isVggDepth = (depth: number): depth is VggDepth => Object.hasOwn(STAGES, depth);

/**
 * VGG-11 with batch normalization and one linear layer as head: a max-pool closes each of the five stages.
 * Source: Simonyan & Zisserman 2015, arXiv:1409.1556, table 1, column A.
 */
export const vgg11 = (options: NetworkOptions): Model => vggTrunk("vgg11", 11, options).classify();

/** VGG of a depth up to its last convolution: a map for each stage, in front of its max-pool. */
export function vggTrunk(name: string, depth: VggDepth, options: NetworkOptions): Trunk {
  const build = new NetworkBuilder(name, options);
  let index = 0;
  const layer = (x: Val, channels: number): Val => {
    const outputs = scaleChannels(channels, options.width ?? 1);
    const convolved = build.conv(`features.${index}`, x, outputs, 3, { bias: true });
    const active = build.relu(build.norm(`features.${index + 1}`, convolved));
    index += 3;
    return active;
  };
  const maps: Val[] = [];
  for (const stage of STAGES[depth]) {
    const last = maps.at(-1);
    if (last) index += 1;
    maps.push(stage.reduce<Val>(layer, last ? build.maxPool(last, 2) : build.input));
  }
  const end = maps.at(-1)!;
  return { build, end, maps: () => maps, classify: () => build.classify("classifier", build.maxPool(end, 2)) };
}
