import type { Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions } from "./builder.js";

const BLOCKS = 3;
/** Layers per block at depth 40 with bottlenecks: (40 − 4) / 6. */
const LAYERS = 6;

/**
 * DenseNet-BC (depth 40, growth 12) for small images: each layer appends its channels to all before it.
 * Source: Huang et al. 2017, arXiv:1608.06993, §4. Differs: no dropout; the width scales the growth.
 */
export function denseNet(options: NetworkOptions): Model {
  const build = new NetworkBuilder("densenet", options);
  const growth = Math.max(2, Math.round(12 * (options.width ?? 1)));
  const activated = (path: string, x: Val): Val => build.relu(build.norm(path, x));

  const layer = (path: string, x: Val): Val => {
    const inner = build.conv(`${path}.conv1`, activated(`${path}.norm1`, x), 4 * growth, 1);
    return build.emit.concat([x, build.conv(`${path}.conv2`, activated(`${path}.norm2`, inner), growth, 3)], 1);
  };

  let x = build.conv("stem", build.input, 2 * growth, 3);
  for (let block = 0; block < BLOCKS; block++) {
    for (let i = 0; i < LAYERS; i++) x = layer(`blocks.${block}.${i}`, x);
    if (block === BLOCKS - 1) break;
    const path = `transitions.${block}`;
    const compressed = Math.floor(x.dims[1]! / 2);
    x = build.averagePool2(build.conv(`${path}.conv`, activated(`${path}.norm`, x), compressed, 1));
  }
  return build.classify("classifier", activated("norm", x));
}
