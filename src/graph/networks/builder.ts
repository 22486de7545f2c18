import { type FloatTensor, Random, sizeOf, type Tensor } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";

export interface NetworkOptions {
  /** Side of the square input. Units: pixels. */
  readonly imageSize: number;
  readonly classes: number;
  /** Multiplies every channel count. */
  readonly width?: number;
  readonly seed?: number;
}

/** Channels at a width multiplier: a multiple of 8, never more than 10 % below the exact product. Source: MobileNetV2's reference code. */
export function scaleChannels(channels: number, width: number): number {
  const exact = channels * width;
  const rounded = Math.max(8, Math.floor((exact + 4) / 8) * 8);
  return rounded >= 0.9 * exact ? rounded : rounded + 8;
}

/** Writes untrained networks layer by layer, He-initialised from a seed, as ordinary ONNX models with a free batch axis. */
export class NetworkBuilder {
  readonly input: Val;
  private readonly emit: Emitter;
  private readonly initializers = new Map<string, Tensor>();
  private readonly random: Random;

  constructor(
    private readonly name: string,
    private readonly options: NetworkOptions,
  ) {
    const { imageSize } = options;
    this.emit = new Emitter(17, ["input"]);
    this.input = this.emit.value("input", { dtype: "float32", dims: [1, 3, imageSize, imageSize] });
    this.random = new Random(options.seed ?? 0).fork(name);
  }

  /** Convolution padded so that stride 1 keeps the size. */
  conv(name: string, x: Val, outputs: number, kernel: number, { stride = 1, groups = 1, bias = false } = {}): Val {
    const dims = [outputs, x.dims[1]! / groups, kernel, kernel];
    const fanOut = (outputs / groups) * kernel * kernel;
    const inputs = [x, this.normal(`${name}.weight`, dims, Math.sqrt(2 / fanOut))];
    if (bias) inputs.push(this.fill(`${name}.bias`, outputs, 0));
    const pad = Math.floor(kernel / 2);
    const attributes = {
      group: attr.int(groups),
      kernel_shape: attr.ints([kernel, kernel]),
      pads: attr.ints([pad, pad, pad, pad]),
      strides: attr.ints([stride, stride]),
    };
    return this.emit.node("Conv", inputs, attributes, { name })[0];
  }

  norm(name: string, x: Val): Val {
    const channels = x.dims[1]!;
    const parts = [
      ["weight", 1],
      ["bias", 0],
      ["running_mean", 0],
      ["running_var", 1],
    ] as const;
    const inputs = parts.map(([part, value]) => this.fill(`${name}.${part}`, channels, value));
    return this.emit.node("BatchNormalization", [x, ...inputs], { epsilon: attr.float(1e-5) }, { name })[0];
  }

  relu(x: Val): Val {
    return this.emit.relu(x);
  }

  relu6(x: Val): Val {
    return this.emit.node("Clip", [x, this.emit.scalar(0, x), this.emit.scalar(6, x)])[0];
  }

  add(a: Val, b: Val): Val {
    return this.emit.add(a, b);
  }

  maxPool2(x: Val): Val {
    return this.emit.node("MaxPool", [x], { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) })[0];
  }

  /** Global average pooling, one linear layer, and the finished model. */
  classify(name: string, x: Val): Model {
    const pooled = x.dims[2] === 1 ? x : this.emit.node("GlobalAveragePool", [x])[0];
    const [flat] = this.emit.node("Flatten", [pooled]);
    const { classes } = this.options;
    const bound = 1 / Math.sqrt(flat.dims[1]!);
    const weight = this.parameter(`${name}.weight`, [classes, flat.dims[1]!], () => this.random.uniform(-bound, bound));
    const bias = this.fill(`${name}.bias`, classes, 0);
    const [logits] = this.emit.node("Gemm", [flat, weight, bias], { transB: attr.int(1) }, { name });
    return this.finish(logits);
  }

  private finish(logits: Val): Model {
    const free = ({ name, dtype, dims }: Val) => ({ name, dtype, dims: ["batch", ...dims.slice(1)] });
    const last = this.emit.nodes.at(-1)!;
    const nodes = [...this.emit.nodes.slice(0, -1), { ...last, outputs: ["logits"] }];
    return {
      graph: {
        name: this.name,
        inputs: [free(this.input)],
        outputs: [free({ ...logits, name: "logits" })],
        nodes,
        initializers: this.initializers,
        types: new Map(),
      },
      opsets: new Map([["", 17]]),
      irVersion: 8,
      producerName: "limber",
      producerVersion: "",
      metadata: new Map(),
    };
  }

  private normal(name: string, dims: readonly number[], deviation: number): Val {
    return this.parameter(name, dims, () => this.random.normal(0, deviation));
  }

  private fill(name: string, length: number, value: number): Val {
    return this.parameter(name, [length], () => value);
  }

  private parameter(name: string, dims: readonly number[], draw: () => number): Val {
    const value: FloatTensor = { dtype: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, draw) };
    this.initializers.set(name, value);
    return this.emit.value(name, value);
  }
}
