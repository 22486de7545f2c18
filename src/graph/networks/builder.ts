import { type FloatTensor, LimberError, Random, sizeOf, type Tensor } from "../../base/index.js";
import { attr, type Model, OWN_HEADER } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";

export interface NetworkOptions {
  /** Side of the square input. Units: pixels. */
  readonly imageSize: number;
  readonly classes: number;
  /** Multiplies every channel count. */
  readonly width?: number;
  readonly seed?: number;
}

/** A network up to its head. */
export interface Trunk {
  readonly build: NetworkBuilder;
  /** The last value in front of the head: a map, or tokens [N, T, C]. */
  readonly end: Val;
  /** The last map at each resolution, from fine to coarse. Shapes: [N, C, H, W]. */
  maps(): readonly Val[];
  /** Puts the head of a classifier on it. */
  classify(): Model;
}

interface ConvOptions {
  readonly stride?: number;
  readonly groups?: number;
  readonly bias?: boolean;
  /** Default: half of the kernel, so that stride 1 keeps the size. */
  readonly pad?: number;
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
  /** For layers that hold no parameters. A batch axis in a Reshape is written as 0, "as it is". */
  readonly emit = new Emitter(17, ["input"]);
  private readonly initializers = new Map<string, Tensor>();
  private readonly random: Random;

  constructor(
    private readonly name: string,
    private readonly options: NetworkOptions,
  ) {
    const { imageSize } = options;
    this.input = this.emit.value("input", { dtype: "float32", dims: [1, 3, imageSize, imageSize] });
    this.random = new Random(options.seed ?? 0).fork(name);
  }

  /** Throws: `config.invalid` when the network halves or cuts the image in a way that its side does not allow. */
  checkImageSize(multiple: number): void {
    const { imageSize } = this.options;
    if (imageSize % multiple === 0) return;
    const message = `${this.name}: an image side that is a multiple of ${multiple}, got ${imageSize}; choose another size`;
    throw new LimberError("config.invalid", message, { imageSize, multiple });
  }

  conv(name: string, x: Val, outputs: number, kernel: number, options: ConvOptions = {}): Val {
    const { stride = 1, groups = 1, bias = false, pad = Math.floor(kernel / 2) } = options;
    const dims = [outputs, x.dims[1]! / groups, kernel, kernel];
    const fanOut = (outputs / groups) * kernel * kernel;
    const inputs = [x, this.normal(`${name}.weight`, dims, Math.sqrt(2 / fanOut))];
    if (bias) inputs.push(this.fill(`${name}.bias`, outputs, 0));
    const attributes = {
      group: attr.int(groups),
      kernel_shape: attr.ints([kernel, kernel]),
      pads: attr.ints([pad, pad, pad, pad]),
      strides: attr.ints([stride, stride]),
    };
    return this.emit.node("Conv", inputs, attributes, { name })[0];
  }

  /** A convolution of stride 1 that is written at several places with the same weights; `start` is what its bias is at first. */
  sharedConv(name: string, inputs: number, outputs: number, kernel: number, start: number): (x: Val) => Val {
    const weight = this.normal(
      `${name}.weight`,
      [outputs, inputs, kernel, kernel],
      Math.sqrt(2 / (outputs * kernel ** 2)),
    );
    const parameters = [weight, this.fill(`${name}.bias`, outputs, start)];
    const pads = Array<number>(4).fill(Math.floor(kernel / 2));
    const attributes = { kernel_shape: attr.ints([kernel, kernel]), pads: attr.ints(pads) };
    return (x) => this.emit.node("Conv", [x, ...parameters], attributes, { name })[0];
  }

  /** Transposed convolution whose windows meet without overlap: the image grows by `factor`. */
  upConv(name: string, x: Val, outputs: number, factor: number): Val {
    const dims = [x.dims[1]!, outputs, factor, factor];
    const weight = this.normal(`${name}.weight`, dims, Math.sqrt(2 / x.dims[1]!));
    const window = attr.ints([factor, factor]);
    const inputs = [x, weight, this.fill(`${name}.bias`, outputs, 0)];
    return this.emit.node("ConvTranspose", inputs, { kernel_shape: window, strides: window }, { name })[0];
  }

  /** Linear layer over the last axis. Shapes: […, I] → […, O], weight [I, O]. */
  linear(name: string, x: Val, outputs: number): Val {
    const inputs = x.dims.at(-1)!;
    const product = this.emit.matMul(x, this.uniform(`${name}.weight`, [inputs, outputs], inputs));
    return this.emit.add(product, this.fill(`${name}.bias`, outputs, 0));
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

  /** Normalization over the last axis. */
  layerNorm(name: string, x: Val): Val {
    const size = x.dims.at(-1)!;
    const inputs = [x, this.fill(`${name}.weight`, size, 1), this.fill(`${name}.bias`, size, 0)];
    const attributes = { axis: attr.int(-1), epsilon: attr.float(1e-6) };
    return this.emit.node("LayerNormalization", inputs, attributes, { name })[0];
  }

  relu(x: Val): Val {
    return this.emit.relu(x);
  }

  relu6(x: Val): Val {
    return this.emit.node("Clip", [x, this.emit.scalar(0, x), this.emit.scalar(6, x)])[0];
  }

  hardSwish(x: Val): Val {
    return this.emit.node("HardSwish", [x])[0];
  }

  /** x · Φ(x), as exporters write it before opset 20. */
  gelu(x: Val): Val {
    const { emit } = this;
    const [erf] = emit.node("Erf", [emit.div(x, Math.SQRT2)]);
    return emit.mul(emit.mul(x, emit.add(erf, 1)), 0.5);
  }

  add(a: Val, b: Val): Val {
    return this.emit.add(a, b);
  }

  maxPool(x: Val, kernel: number, { pad = 0, ceil = false } = {}): Val {
    const attributes = {
      ceil_mode: attr.int(ceil ? 1 : 0),
      kernel_shape: attr.ints([kernel, kernel]),
      pads: attr.ints([pad, pad, pad, pad]),
      strides: attr.ints([2, 2]),
    };
    return this.emit.node("MaxPool", [x], attributes)[0];
  }

  averagePool2(x: Val): Val {
    return this.emit.node("AveragePool", [x], { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) })[0];
  }

  /** Mean over the image. Shapes: [N, C, H, W] → [N, C]. */
  pooled(x: Val): Val {
    const pooled = x.dims[2] === 1 ? x : this.emit.node("GlobalAveragePool", [x])[0];
    return this.emit.node("Flatten", [pooled])[0];
  }

  /** One linear layer as head, and the finished model; a map is averaged first. Shapes: x [N, C] or [N, C, H, W]. */
  classify(name: string, x: Val): Model {
    const flat = x.dims.length === 4 ? this.pooled(x) : x;
    const { classes } = this.options;
    const weight = this.uniform(`${name}.weight`, [classes, flat.dims[1]!], flat.dims[1]!);
    const bias = this.fill(`${name}.bias`, classes, 0);
    return this.finish(this.emit.node("Gemm", [flat, weight, bias], { transB: attr.int(1) }, { name })[0]);
  }

  /** The model whose output is the value written last. */
  finish(logits: Val): Model {
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
      ...OWN_HEADER,
    };
  }

  normal(name: string, dims: readonly number[], deviation: number): Val {
    return this.parameter(name, dims, () => this.random.normal(0, deviation));
  }

  fill(name: string, length: number, value: number): Val {
    return this.parameter(name, [length], () => value);
  }

  /** As `torch.nn.Linear` starts: uniform in ±1/√fanIn. */
  private uniform(name: string, dims: readonly number[], fanIn: number): Val {
    const bound = 1 / Math.sqrt(fanIn);
    return this.parameter(name, dims, () => this.random.uniform(-bound, bound));
  }

  private parameter(name: string, dims: readonly number[], draw: () => number): Val {
    const value: FloatTensor = { dtype: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, draw) };
    this.initializers.set(name, value);
    return this.emit.value(name, value);
  }
}
