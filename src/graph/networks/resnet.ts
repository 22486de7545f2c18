import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels, type Trunk } from "./builder.js";

/**
 * ResNet of basic blocks for small images: 3×3 stem of stride 1, no max-pool, `depth` blocks in every stage.
 * The shortcut is a 1×1 convolution with norm where the shape changes (option B).
 * Source: He et al. 2016, arXiv:1512.03385, §4.2.
 */
export const resNet = (name: string, channels: readonly number[], depth: number, options: NetworkOptions): Model =>
  resNetTrunk(name, channels, depth, options).classify();

/** The same without its head: a map for each stage. */
export function resNetTrunk(name: string, channels: readonly number[], depth: number, options: NetworkOptions): Trunk {
  const build = new NetworkBuilder(name, options);
  const width = options.width ?? 1;
  const normed = (path: string, norm: string, x: Val, outputs: number, kernel: number, stride = 1): Val =>
    build.norm(norm, build.conv(path, x, outputs, kernel, { stride }));

  const block = (path: string, x: Val, outputs: number, stride: number): Val => {
    const first = build.relu(normed(`${path}.conv1`, `${path}.norm1`, x, outputs, 3, stride));
    const second = normed(`${path}.conv2`, `${path}.norm2`, first, outputs, 3);
    const changes = stride !== 1 || x.dims[1] !== outputs;
    const shortcut = changes ? normed(`${path}.shortcut.0`, `${path}.shortcut.1`, x, outputs, 1, stride) : x;
    return build.relu(build.add(second, shortcut));
  };

  let x = build.relu(normed("stem.0", "stem.1", build.input, scaleChannels(channels[0]!, width), 3));
  const maps = channels.map((exact, stage) => {
    const outputs = scaleChannels(exact, width);
    for (let i = 0; i < depth; i++) x = block(`stages.${stage}.${i}`, x, outputs, stage > 0 && i === 0 ? 2 : 1);
    return x;
  });
  return { build, end: x, maps: () => maps, classify: () => build.classify("classifier", x) };
}
