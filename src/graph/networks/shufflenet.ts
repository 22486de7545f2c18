import { attr, type Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels } from "./builder.js";

/** Channels of the first stage by width, table 5 of the paper; each stage doubles them. */
const FIRST = new Map([
  [0.5, 48],
  [1, 116],
  [1.5, 176],
  [2, 244],
]);
const REPEATS = [4, 8, 4];

/**
 * ShuffleNetV2: half of the channels pass a block untouched, then the halves are interleaved.
 * Source: Ma et al. 2018, arXiv:1807.11164. Differs: widths between the published ones; the last 1024 channels scale.
 */
export function shuffleNetV2(options: NetworkOptions): Model {
  const build = new NetworkBuilder("shufflenetv2", options);
  const { emit } = build;
  const width = options.width ?? 1;

  const pointwise = (path: string, index: number, x: Val, outputs: number): Val =>
    build.relu(build.norm(`${path}.${index + 1}`, build.conv(`${path}.${index}`, x, outputs, 1)));
  const depthwise = (path: string, index: number, x: Val, stride: number): Val => {
    const convolved = build.conv(`${path}.${index}`, x, x.dims[1]!, 3, { stride, groups: x.dims[1]! });
    return build.norm(`${path}.${index + 1}`, convolved);
  };
  const shuffle = (x: Val): Val => {
    const [, channels, height, width] = x.dims as [number, number, number, number];
    const halves = emit.transpose(emit.reshape(x, [0, 2, channels / 2, height, width]), [0, 2, 1, 3, 4]);
    return emit.reshape(halves, [0, channels, height, width]);
  };

  const block = (path: string, x: Val, outputs: number, stride: number): Val => {
    const half = outputs / 2;
    const passed = (): [Val, ...Val[]] =>
      emit.node("Split", [x, emit.ints([half, half])], { axis: attr.int(1) }, { outputs: 2 });
    const reduced = (): Val => pointwise(`${path}.branch1`, 2, depthwise(`${path}.branch1`, 0, x, stride), half);
    const [left, right] = stride === 1 ? (passed() as [Val, Val]) : [reduced(), x];
    const inner = depthwise(`${path}.branch2`, 3, pointwise(`${path}.branch2`, 0, right, half), stride);
    return shuffle(emit.concat([left, pointwise(`${path}.branch2`, 5, inner, half)], 1));
  };

  const stem = build.norm("stem.1", build.conv("stem.0", build.input, scaleChannels(24, width), 3, { stride: 2 }));
  let x = build.maxPool(build.relu(stem), 3, { pad: 1 });
  const first = FIRST.get(width) ?? scaleChannels(116, width);
  REPEATS.forEach((repeats, stage) => {
    const outputs = first * 2 ** stage;
    for (let i = 0; i < repeats; i++) x = block(`stages.${stage}.${i}`, x, outputs, i === 0 ? 2 : 1);
  });
  return build.classify("classifier", pointwise("head", 0, x, scaleChannels(1024, width)));
}
