import { invariant, isFloat, LimberError, scalar, type Tensor, tensor, zeros } from "../../base/index.js";
import { attr, type Graph, type Model, type ValueInfo } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";
import { sweepDead } from "../passes/index.js";
import { backward } from "./backward.js";
import type { Loss, Targets } from "./losses.js";
import { multiplySmallMaps } from "./small-maps.js";
import { normalizeWithBatch, type Statistics, type Track } from "./normalization.js";
import type { Optimizer } from "./optimizers.js";

/** One tensor that goes into the step and comes out changed. */
export interface StateSlot {
  readonly input: string;
  readonly output: string;
  /** `parameter` and `statistic` belong to the model; `optimizer` and `counter` only to training. */
  readonly role: "parameter" | "statistic" | "optimizer" | "counter";
  /** For parameters and statistics: the initializer of the model that the slot continues. */
  readonly initializer?: string;
  readonly initial: Tensor;
}

/** A training step as plain ONNX: state and a batch in, state and measurements out. */
export interface Step {
  readonly model: Model;
  readonly state: readonly StateSlot[];
  readonly batch: number;
  readonly targets: Targets;
  readonly inputs: {
    readonly image: ValueInfo;
    readonly targets?: ValueInfo;
    /** Scalar float inputs. */
    readonly learningRate?: string;
    readonly statisticsMomentum?: string;
  };
  readonly outputs: {
    /** The model's output before the update. */
    readonly prediction: string;
    readonly loss?: string;
    /** Euclidean norm over all gradients, before clipping; not finite when any gradient is. */
    readonly gradientNorm?: string;
  };
}

/** What is trained and how. Without `train` the step only predicts (and tracks statistics). */
export interface StepOptions {
  readonly statistics: Statistics;
  readonly train?: TrainOptions;
}

export interface TrainOptions {
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** Initializers to train. */
  readonly parameters: readonly string[];
  /** Largest Euclidean norm over all gradients; as `torch.nn.utils.clip_grad_norm_`. */
  readonly clipNorm?: number;
  /** Factors on the learning rate by parameter. */
  readonly scale?: ReadonlyMap<string, number>;
  /** One 0 or 1 per output channel (first axis) by parameter: rows with 0 keep their bytes. */
  readonly mask?: ReadonlyMap<string, readonly number[]>;
}

/**
 * Turns a model with static shapes into a training step: forward, loss, gradients, clipping, update, all in one graph.
 *
 * The step never writes into its inputs, so a caller that keeps two sets of buffers can refuse a bad step by not swapping them.
 * Throws: `config.invalid` for parameters that are not float initializers; `gradient.missing`; `shape.unknown`.
 */
export function buildStep(model: Model, options: StepOptions): Step {
  const builder = new StepBuilder(model);
  builder.normalize(options.statistics);
  if (options.train) builder.train(options.train);
  return builder.finish(options.train?.loss.targets ?? "none");
}

class StepBuilder {
  private graph: Graph;
  private readonly emit: Emitter;
  private readonly state: StateSlot[] = [];
  private readonly image: ValueInfo;
  private readonly prediction: ValueInfo;
  private inputs: Omit<Step["inputs"], "image"> = {};
  private outputs: Omit<Step["outputs"], "prediction"> = {};

  constructor(private readonly model: Model) {
    this.graph = model.graph;
    const data = model.graph.inputs.filter((v) => !model.graph.initializers.has(v.name));
    if (data.length !== 1) {
      throw new LimberError(
        "config.invalid",
        `model: one image input, got ${data.length} (${data.map((v) => v.name).join(", ")})`,
      );
    }
    this.image = data[0]!;
    this.prediction = model.graph.outputs[0]!;
    const names = model.graph.nodes.flatMap((node) => [node.name, ...node.outputs]);
    const opset = model.opsets.get("") ?? 0;
    this.emit = new Emitter(opset, [...names, ...model.graph.initializers.keys(), this.image.name], "step/");
  }

  /** Chooses the statistics and, where they come from the batch, tracks those that were used. */
  normalize(statistics: Statistics): void {
    if (statistics === "fixed") return;
    const initials = new Map<string, readonly [string, Tensor]>();
    const track: Track = (name) => {
      const initial = this.graph.initializers.get(name);
      if (!initial)
        throw new LimberError("config.invalid", `statistic "${name}": an initializer, got a computed value`);
      const tracked = this.input(`${name}:tracked`, initial);
      initials.set(tracked.name, [name, initial]);
      return tracked;
    };
    const rewritten = normalizeWithBatch(this.graph, statistics, this.emit, track);
    this.graph = { ...rewritten.graph, inputs: this.graph.inputs };
    if (initials.size === 0) return;
    const momentum = this.input("statistics_momentum", scalar("float32", 0));
    this.inputs = { ...this.inputs, statisticsMomentum: momentum.name };
    const { emit } = this;
    for (const { tracked, used } of rewritten.statistics) {
      for (const kind of ["mean", "variance"] as const) {
        // s ← s + m·(used - s): m = 0.1 is the usual running average, m = 1/t the mean over t steps.
        const before = tracked[kind];
        const next = emit.add(before, emit.mul(emit.sub(used[kind], before), momentum));
        const [name, initial] = initials.get(before.name)!;
        this.slot("statistic", before, next, initial, name);
      }
    }
    this.graph = { ...this.graph, nodes: [...this.graph.nodes, ...this.emit.drain()] };
  }

  train({ loss, optimizer, parameters, clipNorm, scale, mask }: TrainOptions): void {
    const { emit } = this;
    const initial = new Map(parameters.map((name) => [name, this.parameter(name)]));
    this.graph = multiplySmallMaps(this.graph, new Set(parameters), emit);
    const output = this.value(this.prediction.name);
    const targets = this.targets(loss.targets, output);
    const lossValue = loss.build({ emit, output, targets });
    const full: Graph = {
      ...this.graph,
      nodes: [...this.graph.nodes, ...emit.nodes],
      types: new Map([...this.graph.types, ...emit.types]),
    };
    const found = backward(full, { loss: lossValue.name, wrt: parameters, emit });
    const gradients = new Map(
      parameters.flatMap((name) => {
        const g = found.get(name);
        return g ? [[name, g] as const] : [];
      }),
    );
    if (gradients.size === 0) {
      throw new LimberError("gradient.missing", `loss "${loss.name}": a path from a trainable parameter, got none`, {
        parameters,
      });
    }
    const squares = [...gradients.values()].map((g) => emit.node("ReduceSumSquare", [g], { keepdims: attr.int(0) })[0]);
    const norm = emit.sqrt(squares.length === 1 ? squares[0]! : emit.node("Sum", squares)[0]);
    this.outputs = { loss: lossValue.name, gradientNorm: norm.name };
    const clip =
      clipNorm === undefined ? undefined : emit.min(emit.div(emit.scalar(clipNorm, norm), emit.add(norm, 1e-6)), 1);
    const learningRate = this.input("learning_rate", scalar("float32", 0));
    this.inputs = { ...this.inputs, learningRate: learningRate.name };
    const stepCount = this.count(learningRate);
    for (const [name, raw] of gradients) {
      const parameter = this.value(name);
      const gradient = clip ? emit.mul(raw, clip) : raw;
      const start = new Map(optimizer.buffers.map((kind) => [kind, zeros(parameter.dtype, parameter.dims)]));
      const buffers = Object.fromEntries([...start].map(([kind, t]) => [kind, this.input(`${name}:${kind}`, t)]));
      const factor = scale?.get(name) ?? 1;
      const rate = factor === 1 ? learningRate : emit.mul(learningRate, factor);
      const update = optimizer.update({ emit, parameter, gradient, buffers, learningRate: rate, stepCount });
      const rows = mask?.get(name);
      const delta = rows ? emit.mul(update.delta, this.rowMask(name, rows, parameter)) : update.delta;
      this.slot("parameter", parameter, emit.add(parameter, delta), initial.get(name)!, name);
      for (const [kind, t] of start) this.slot("optimizer", buffers[kind]!, update.buffers[kind]!, t);
    }
  }

  /** Counts steps: t ← t + 1, read by the optimizer after the increment. */
  private count(like: Val): Val {
    const before = this.input("step_count", scalar(like.dtype, 0));
    const after = this.emit.add(before, 1);
    this.slot("counter", before, after, scalar(like.dtype, 0));
    return after;
  }

  private rowMask(name: string, rows: readonly number[], parameter: Val): Val {
    if (rows.length !== parameter.dims[0]) {
      throw new LimberError("config.invalid", `mask of "${name}": ${parameter.dims[0]} rows, got ${rows.length}`);
    }
    const dims = [rows.length, ...parameter.dims.slice(1).map(() => 1)];
    return this.emit.tensor(tensor("float32", dims, Float32Array.from(rows)), "mask");
  }

  /** Moves an initializer to the inputs and gives its value at the start. */
  private parameter(name: string): Tensor {
    const value = this.graph.initializers.get(name);
    if (!value || !isFloat(value.dtype)) {
      throw new LimberError(
        "config.invalid",
        `parameter "${name}": a float initializer of the model, got ${value?.dtype ?? "none"}`,
      );
    }
    const initializers = new Map(this.graph.initializers);
    initializers.delete(name);
    const inputs = this.graph.inputs.filter((v) => v.name !== name);
    this.graph = { ...this.graph, initializers, inputs: [...inputs, { name, dtype: value.dtype, dims: value.dims }] };
    return value;
  }

  private targets(kind: Targets, output: Val): Val | undefined {
    if (kind === "none") return undefined;
    const info: ValueInfo =
      kind === "labels" ? { name: "labels", dtype: "int64", dims: [output.dims[0]!] } : { ...output, name: "targets" };
    const name = this.emit.freshName(info.name);
    this.graph = { ...this.graph, inputs: [...this.graph.inputs, { ...info, name }] };
    this.inputs = { ...this.inputs, targets: { ...info, name } };
    return this.emit.value(name, info);
  }

  private input(base: string, like: Tensor): Val {
    const name = this.emit.freshName(base);
    this.graph = { ...this.graph, inputs: [...this.graph.inputs, { name, dtype: like.dtype, dims: like.dims }] };
    return this.emit.value(name, like);
  }

  private slot(role: StateSlot["role"], before: Val, after: Val, initial: Tensor, initializer?: string): void {
    const owner = initializer === undefined ? {} : { initializer };
    this.state.push({ input: before.name, output: after.name, role, initial, ...owner });
  }

  private value(name: string): Val {
    const type =
      this.graph.initializers.get(name) ??
      this.graph.types.get(name) ??
      this.graph.inputs.find((v) => v.name === name) ??
      this.prediction;
    return this.emit.value(name, type);
  }

  finish(targets: Targets): Step {
    const types = new Map([...this.graph.types, ...this.emit.types]);
    const names = [this.prediction.name, ...Object.values(this.outputs), ...this.state.map((s) => s.output)];
    const outputs = names.map((name): ValueInfo => {
      const type = types.get(name) ?? this.prediction;
      return { name, dtype: type.dtype, dims: type.dims };
    });
    const graph: Graph = {
      ...this.graph,
      name: "training_step",
      nodes: [...this.graph.nodes, ...this.emit.nodes],
      outputs,
      types,
    };
    const opsets = new Map([...this.model.opsets, ["com.microsoft", 1] as const]);
    const batch = this.image.dims?.[0];
    invariant(typeof batch === "number", "the batch is bound before a step is built");
    return {
      model: sweepDead({ ...this.model, graph, opsets }),
      state: this.state,
      batch,
      targets,
      inputs: { image: this.image, ...this.inputs },
      outputs: { prediction: this.prediction.name, ...this.outputs },
    };
  }
}
