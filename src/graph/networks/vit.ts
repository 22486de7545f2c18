import { attr, type Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels, type Trunk } from "./builder.js";

/** Patch sides of 4, 8 and 16 pixels keep the number of tokens near 64 for small images, and the paper's at 224 pixels. */
export const patchSide = (imageSize: number): number => (imageSize < 64 ? 4 : imageSize < 128 ? 8 : 16);

/**
 * ViT-Tiny: 12 blocks of 192 channels in three heads of 64; a width of 2 gives ViT-Small, of 4 ViT-Base.
 * Source: Dosovitskiy et al. 2021, arXiv:2010.11929; Touvron et al. 2021, arXiv:2012.12877 (Tiny).
 * Differs: the mean over the tokens in place of a class token, as Beyer et al. 2022, arXiv:2205.01580; no dropout.
 */
export const viT = (options: NetworkOptions): Model => viTTrunk("vit", 12, options).classify();

/** The same up to its last normalization; `depth` is the number of blocks. */
export function viTTrunk(name: string, depth: number, options: NetworkOptions): Trunk {
  const build = new NetworkBuilder(name, options);
  const { emit } = build;
  const heads = Math.max(3, Math.round(3 * (options.width ?? 1)));
  const size = scaleChannels(64, (3 * (options.width ?? 1)) / heads);
  const channels = heads * size;
  const patch = patchSide(options.imageSize);
  build.checkImageSize(patch);

  const attention = (path: string, x: Val): Val => {
    const tokens = x.dims[1]!;
    const mixed = build.linear(`${path}.qkv`, x, 3 * channels);
    const parts = [mixed, emit.ints([channels, channels, channels])];
    const [query, key, value] = emit
      .node("Split", parts, { axis: attr.int(2) }, { outputs: 3 })
      .map((part) => emit.reshape(part, [0, tokens, heads, size])) as [Val, Val, Val];
    const scores = emit.matMul(emit.transpose(query, [0, 2, 1, 3]), emit.transpose(key, [0, 2, 3, 1]));
    const weights = emit.softmax(emit.mul(scores, 1 / Math.sqrt(size)), 3);
    const attended = emit.transpose(emit.matMul(weights, emit.transpose(value, [0, 2, 1, 3])), [0, 2, 1, 3]);
    return build.linear(`${path}.projection`, emit.reshape(attended, [0, tokens, channels]), channels);
  };
  const perceptron = (path: string, x: Val): Val =>
    build.linear(`${path}.2`, build.gelu(build.linear(`${path}.0`, x, 4 * channels)), channels);

  const patches = build.conv("patch", build.input, channels, patch, { stride: patch, pad: 0, bias: true });
  const tokens = patches.dims[2]! * patches.dims[3]!;
  let x = emit.transpose(emit.reshape(patches, [0, channels, tokens]), [0, 2, 1]);
  x = build.add(x, build.normal("position", [1, tokens, channels], 0.02));
  for (let i = 0; i < depth; i++) {
    const path = `blocks.${i}`;
    x = build.add(x, attention(`${path}.attention`, build.layerNorm(`${path}.norm1`, x)));
    x = build.add(x, perceptron(`${path}.mlp`, build.layerNorm(`${path}.norm2`, x)));
  }
  const end = build.layerNorm("norm", x);
  const map = (): Val => emit.reshape(emit.transpose(end, [0, 2, 1]), [0, channels, ...patches.dims.slice(2)]);
  return {
    ...{ build, end, maps: () => [map()] },
    classify: () => build.classify("classifier", emit.reduceMean(end, [1])),
  };
}
