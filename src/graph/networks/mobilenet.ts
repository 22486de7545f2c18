import { attr, type Model } from "../ir/index.js";
import type { Val } from "../ops/index.js";
import { NetworkBuilder, type NetworkOptions, scaleChannels, type Trunk } from "./builder.js";

type Activation = "relu" | "relu6" | "hardSwish";

interface Layer {
  readonly stride?: number;
  readonly groups?: number;
}

interface Block {
  readonly outputs: number;
  /** Channels between expansion and projection; as many as come in: no expansion. */
  readonly hidden: number;
  readonly kernel: number;
  readonly stride: number;
  readonly activation: Activation;
  /** Channels inside of the squeeze-and-excitation; absent: none. */
  readonly squeezed?: number;
}

/** The layers that the MobileNets share, each a convolution with norm. */
class MobileBuilder extends NetworkBuilder {
  layer(path: string, x: Val, outputs: number, kernel: number, activation: Activation, extra: Layer = {}): Val {
    return this[activation](this.norm(`${path}.1`, this.conv(`${path}.0`, x, outputs, kernel, extra)));
  }

  /** Inverted residual: expand (1×1), depthwise, squeeze-and-excitation, project (1×1, linear), shortcut where the shape stays. */
  block(path: string, x: Val, { outputs, hidden, kernel, stride, activation, squeezed }: Block): Val {
    let [y, index] = [x, 0];
    if (hidden !== x.dims[1]) y = this.layer(`${path}.layers.${index++}`, y, hidden, 1, activation);
    y = this.layer(`${path}.layers.${index++}`, y, hidden, kernel, activation, { stride, groups: hidden });
    if (squeezed !== undefined) y = this.excite(`${path}.layers.${index++}`, y, squeezed);
    y = this.norm(`${path}.layers.${index + 1}`, this.conv(`${path}.layers.${index}`, y, outputs, 1));
    return stride === 1 && x.dims[1] === outputs ? this.add(x, y) : y;
  }

  /** Channels weighted by what the whole image holds of each. Source: Hu et al. 2018, arXiv:1709.01507. */
  private excite(path: string, x: Val, squeezed: number): Val {
    const { emit } = this;
    const [pooled] = emit.node("GlobalAveragePool", [x]);
    const inner = this.relu(this.conv(`${path}.reduce`, pooled, squeezed, 1, { bias: true }));
    const outer = this.conv(`${path}.expand`, inner, x.dims[1]!, 1, { bias: true });
    return emit.mul(x, emit.node("HardSigmoid", [outer], { alpha: attr.float(1 / 6), beta: attr.float(0.5) })[0]);
  }
}

/** Expansion, channels, repeats, stride of the first, kernel. */
type Stage = readonly [number, number, number, number, number];

/** Inverted residuals up to the last one; `stride` is that of the stem. The head begins with one more layer, of 1280 channels. */
function residuals(name: string, stages: readonly Stage[], options: NetworkOptions, stride = 2): Trunk {
  const build = new MobileBuilder(name, options);
  const width = options.width ?? 1;
  let x = build.layer("stem", build.input, scaleChannels(32, width), 3, "relu6", { stride });
  let index = 0;
  const maps: Val[] = [];
  for (const [expansion, channels, repeats, first, kernel] of stages) {
    if (first > 1) maps.push(x);
    for (let i = 0; i < repeats; i++) {
      const [outputs, hidden, stride] = [scaleChannels(channels, width), x.dims[1]! * expansion, i === 0 ? first : 1];
      x = build.block(`blocks.${index++}`, x, { outputs, hidden, kernel, stride, activation: "relu6" });
    }
  }
  const head = (): Val => build.layer("head", x, scaleChannels(1280, width), 1, "relu6");
  return { build, end: x, maps: () => [...maps, x], classify: () => build.classify("classifier", head()) };
}

/** The stages of MobileNetV2. */
const MOBILENET_V2: readonly Stage[] = [
  [1, 16, 1, 1, 3],
  [6, 24, 2, 2, 3],
  [6, 32, 3, 2, 3],
  [6, 64, 4, 2, 3],
  [6, 96, 3, 1, 3],
  [6, 160, 3, 2, 3],
  [6, 320, 1, 1, 3],
];

/**
 * MobileNetV2. Source: Sandler et al. 2018, arXiv:1801.04381, table 2.
 * Differs: no dropout; the last 1280 channels shrink with the width.
 */
export const mobileNetV2 = (options: NetworkOptions): Model =>
  residuals("mobilenetv2", MOBILENET_V2, options).classify();

/** MobileNetV2 up to its last residual. Small images keep their size in the stem. */
export const mobileNetTrunk = (name: string, options: NetworkOptions): Trunk =>
  residuals(name, MOBILENET_V2, options, options.imageSize > 64 ? 2 : 1);

/**
 * EfficientNet-Lite0: B0 without squeeze-and-excitation, ReLU6 for SiLU.
 * Source: Tan & Le 2019, arXiv:1905.11946, table 1. Differs: no dropout; padding is symmetric; the last 1280 channels scale.
 */
export const efficientNetLite0 = (options: NetworkOptions): Model =>
  residuals(
    "efficientnet_lite0",
    [
      [1, 16, 1, 1, 3],
      [6, 24, 2, 2, 3],
      [6, 40, 2, 2, 5],
      [6, 80, 3, 2, 3],
      [6, 112, 3, 1, 5],
      [6, 192, 4, 2, 5],
      [6, 320, 1, 1, 3],
    ],
    options,
  ).classify();

/** Kernel, expanded channels, channels, squeeze-and-excitation, activation, stride: table 2 of the paper. */
const SMALL = [
  [3, 16, 16, true, "relu", 2],
  [3, 72, 24, false, "relu", 2],
  [3, 88, 24, false, "relu", 1],
  [5, 96, 40, true, "hardSwish", 2],
  [5, 240, 40, true, "hardSwish", 1],
  [5, 240, 40, true, "hardSwish", 1],
  [5, 120, 48, true, "hardSwish", 1],
  [5, 144, 48, true, "hardSwish", 1],
  [5, 288, 96, true, "hardSwish", 2],
  [5, 576, 96, true, "hardSwish", 1],
  [5, 576, 96, true, "hardSwish", 1],
] as const;

/** MobileNetV3-Small. Source: Howard et al. 2019, arXiv:1905.02244. Differs: no dropout; the last 1024 channels scale. */
export function mobileNetV3(options: NetworkOptions): Model {
  const build = new MobileBuilder("mobilenetv3", options);
  const scaled = (channels: number): number => scaleChannels(channels, options.width ?? 1);
  let x = build.layer("stem", build.input, scaled(16), 3, "hardSwish", { stride: 2 });
  SMALL.forEach(([kernel, expanded, channels, excited, activation, stride], i) => {
    const hidden = scaled(expanded);
    const squeezed = excited ? { squeezed: scaleChannels(hidden, 0.25) } : {};
    x = build.block(`blocks.${i}`, x, { outputs: scaled(channels), hidden, kernel, stride, activation, ...squeezed });
  });
  const features = build.pooled(build.layer("head", x, scaled(576), 1, "hardSwish"));
  return build.classify("classifier", build.hardSwish(build.linear("hidden", features, scaled(1024))));
}
