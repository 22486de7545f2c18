import { attr, type Model } from "../ir/index.js";
import { NetworkBuilder } from "./builder.js";

const CHANNELS = 8;

/**
 * A tiny network with a bit of everything that larger ones are made of: dense and depthwise convolutions, normalization, a residual
 * sum, pooling, attention, a gather. One training step of it tells whether a runtime computes right.
 * Shapes: [N, 3, 8, 8] → [N, 4].
 */
export function buildProbe(): Model {
  const net = new NetworkBuilder("probe", { imageSize: 8, classes: 4, seed: 1 });
  const { emit } = net;
  const stem = net.relu(net.norm("stem.norm", net.conv("stem", net.input, CHANNELS, 3)));
  const depthwise = net.norm("depthwise.norm", net.conv("depthwise", stem, CHANNELS, 3, { groups: CHANNELS }));
  const pooled = net.maxPool(net.add(stem, depthwise), 2);
  const tokens = emit.transpose(emit.reshape(pooled, [0, CHANNELS, 16]), [0, 2, 1]);
  const keys = net.linear("keys", tokens, CHANNELS);
  const attention = emit.softmax(emit.matMul(tokens, emit.transpose(keys, [0, 2, 1])), 2);
  const mean = emit.reduceMean(emit.matMul(attention, tokens), [1]);
  const reversed = emit.ints([...Array(CHANNELS).keys()].reverse());
  return net.classify("head", emit.node("Gather", [mean, reversed], { axis: attr.int(1) })[0]);
}
