import { invariant, isFloat, LimberError, scalar, type Tensor, zeros } from "../../base/index.js";
import { attr, type Graph, type Model, type Node, type ValueInfo } from "../ir/index.js";
import { type Choose, Emitter, type Val } from "../ops/index.js";
import { foldConstants, sweepDead } from "../passes/index.js";
import { backward } from "./backward.js";
import type { Loss, Targets } from "./losses.js";
import { formulateConvolutions } from "./forward.js";
import { findBatchNormalized, normalizeWithBatch, type Statistics, type Track } from "./normalization.js";
import type { Optimizer } from "./optimizers.js";
import { assembleRows } from "./rows-assemble.js";
import { checkRows, formatRows, outputAxisOf, type Rows, takeRows } from "./rows.js";
import { exposeSaved } from "./saved.js";

/** One tensor that goes into the step and comes out changed. */
export interface StateSlot {
  readonly input: string;
  readonly output: string;
  /** `parameter` and `statistic` belong to the model; `optimizer` and `counter` only to training. */
  readonly role: "parameter" | "statistic" | "optimizer" | "counter";
  /** For parameters and statistics: the initializer of the model that the slot continues. */
  readonly initializer?: string;
  /** For parameters that train in part: where the rows of the slot belong in the initializer. */
  readonly rows?: Rows;
  readonly initial: Tensor;
}

/** A training step as plain ONNX: state and a batch in, state and measurements out. */
export interface Step {
  readonly model: Model;
  readonly state: readonly StateSlot[];
  readonly batch: number;
  readonly targets: Targets;
  /** What the update starts from: the gradients as they are before clipping. */
  readonly gradients: readonly string[];
  /** The label of places that the loss does not count. */
  readonly ignoredLabel?: number;
  readonly inputs: {
    /** The image; or, in a step that starts later (`modelFrom`), the values that it starts from. */
    readonly data: readonly ValueInfo[];
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
  /** Picks among the formulations of trained convolutions; default: rules that suit most machines. */
  readonly choose?: Choose | undefined;
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
  /**
   * Which output channels of a parameter train, where not all do: the others stay constant to the byte, and only the
   * gradient, state and update of these are computed. `leadingRows(model, 0.2)` gives the first 20 % of every weight.
   */
  readonly rows?: ReadonlyMap<string, readonly number[]> | undefined;
}

/**
 * Turns a model with static shapes into a training step: forward, loss, gradients, clipping, update, all in one graph.
 *
 * The step never writes into its inputs, so a caller that keeps two sets of buffers can refuse a bad step by not swapping them.
 * Throws: `config.invalid` for parameters that are not float initializers; `gradient.missing`; `shape.unknown`.
 */
export function buildStep(model: Model, options: StepOptions): Step {
  const builder = new StepBuilder(model);
  builder.normalize(options.statistics, options.train?.parameters ?? []);
  if (options.train) builder.train(options.train, options.choose);
  return builder.finish(options.train?.loss);
}

/** A parameter as the step changes it: all of it, or the rows that train. */
interface Trained {
  readonly parameter: Val;
  readonly initial: Tensor;
  readonly rows?: Rows;
}

class StepBuilder {
  private graph: Graph;
  private readonly emit: Emitter;
  private readonly state: StateSlot[] = [];
  /** Puts parameters of which only rows train together; runs before all else, and gradients stop there. */
  private readonly assembly: Node[] = [];
  private readonly data: readonly ValueInfo[];
  private readonly prediction: ValueInfo;
  private inputs: Omit<Step["inputs"], "data"> = {};
  private outputs: Omit<Step["outputs"], "prediction"> = {};
  private gradients: readonly string[] = [];

  constructor(private readonly model: Model) {
    // Exporters compute sizes at run time; with the batch bound they are constants. Weights stay apart, by their names.
    const weights = [...model.graph.initializers].flatMap(([name, { dtype }]) => (isFloat(dtype) ? [name] : []));
    this.graph = foldConstants(model, weights).graph;
    this.data = model.graph.inputs.filter((v) => !model.graph.initializers.has(v.name));
    this.prediction = model.graph.outputs[0]!;
    const nodes = model.graph.nodes.flatMap((node) => [node.name, ...node.outputs]);
    const names = [...nodes, ...model.graph.initializers.keys(), ...this.data.map(({ name }) => name)];
    const opset = model.opsets.get("") ?? 0;
    this.emit = new Emitter(opset, names, "step/");
  }

  /** Chooses the statistics and, where they come from the batch, tracks those that were used. */
  normalize(statistics: Statistics, trained: readonly string[]): void {
    if (statistics === "fixed") return;
    const chosen = findBatchNormalized(this.graph, statistics, trained);
    const initials = new Map<string, readonly [string, Tensor]>();
    const track: Track = (name) => {
      const initial = this.graph.initializers.get(name);
      if (!initial)
        throw new LimberError("config.invalid", `statistic "${name}": an initializer, got a computed value`);
      const tracked = this.input(`${name}:tracked`, initial);
      initials.set(tracked.name, [name, initial]);
      return tracked;
    };
    const rewritten = normalizeWithBatch(this.graph, statistics, chosen, this.emit, track);
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
        this.slot("statistic", before, next, initial, { initializer: name });
      }
    }
    this.graph = { ...this.graph, nodes: [...this.graph.nodes, ...this.emit.drain()] };
  }

  train({ loss, optimizer, parameters, clipNorm, scale, rows }: TrainOptions, choose: Choose | undefined): void {
    const { emit } = this;
    const trained = new Map(parameters.map((name) => [name, this.parameter(name, rows?.get(name))]));
    const partial = new Map([...trained].flatMap(([name, part]) => (part.rows ? [[name, part.rows] as const] : [])));
    const asGiven = exposeSaved(this.graph, parameters, emit);
    this.graph = formulateConvolutions(asGiven, new Set(parameters), emit, choose);
    const output = this.value(this.prediction.name);
    const targets = this.targets(loss.targets, output);
    const lossValue = loss.build({ emit, output, targets });
    const full: Graph = {
      ...this.graph,
      nodes: [...asGiven.nodes, ...emit.nodes],
      types: new Map([...this.graph.types, ...emit.types]),
    };
    const found = backward(full, { loss: lossValue.name, wrt: parameters, rows: partial, emit, choose });
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
    for (const [name, { parameter, initial }] of trained)
      if (!gradients.has(name)) this.freeze(parameter.name, initial);
    const squares = [...gradients.values()].map((g) => emit.node("ReduceSumSquare", [g], { keepdims: attr.int(0) })[0]);
    const norm = emit.sqrt(squares.length === 1 ? squares[0]! : emit.node("Sum", squares)[0]);
    this.outputs = { loss: lossValue.name, gradientNorm: norm.name };
    this.gradients = [...gradients.values()].map(({ name }) => name);
    const clip =
      clipNorm === undefined ? undefined : emit.min(emit.div(emit.scalar(clipNorm, norm), emit.add(norm, 1e-6)), 1);
    const learningRate = this.input("learning_rate", scalar("float32", 0));
    this.inputs = { ...this.inputs, learningRate: learningRate.name };
    const stepCount = this.count(learningRate);
    for (const [name, raw] of gradients) {
      const { parameter, initial, rows: part } = trained.get(name)!;
      const gradient = clip ? emit.mul(raw, clip) : raw;
      const start = new Map(optimizer.buffers.map((kind) => [kind, zeros(parameter.dtype, parameter.dims)]));
      const buffers = Object.fromEntries([...start].map(([kind, t]) => [kind, this.input(`${name}:${kind}`, t)]));
      const factor = scale?.get(name) ?? 1;
      const rate = factor === 1 ? learningRate : emit.mul(learningRate, factor);
      const update = optimizer.update({ emit, parameter, gradient, buffers, learningRate: rate, stepCount });
      const owner = part ? { initializer: name, rows: part } : { initializer: name };
      this.slot("parameter", parameter, emit.add(parameter, update.delta), initial, owner);
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

  /** Moves an initializer, or the rows of it that train, to the inputs. */
  private parameter(name: string, indices: readonly number[] | undefined): Trained {
    const initializers = new Map(this.graph.initializers);
    const whole = this.model.graph.initializers.get(name);
    if (!whole || !isFloat(whole.dtype)) {
      const message = `parameter "${name}": a float initializer of the model, got ${whole?.dtype ?? "none"}`;
      throw new LimberError("config.invalid", message);
    }
    const rows = indices && partOf(this.graph, name, whole, indices);
    initializers.delete(name);
    const inputs = this.graph.inputs.filter((v) => v.name !== name);
    this.graph = { ...this.graph, initializers, inputs };
    if (!rows) {
      this.graph = { ...this.graph, inputs: [...inputs, { name, dtype: whole.dtype, dims: whole.dims }] };
      return { parameter: this.emit.value(name, whole), initial: whole };
    }
    const initial = takeRows(whole, rows);
    // Named after its rows, so that a checkpoint of others does not fit.
    const parameter = this.input(`${name}:rows ${formatRows(rows)}`, initial);
    const assembly = assembleRows(name, whole, rows, parameter.name, (base) => this.emit.freshName(base));
    for (const [key, value] of assembly.initializers) initializers.set(key, value);
    this.assembly.push(...assembly.nodes);
    this.graph = { ...this.graph, types: new Map([...this.graph.types, ...assembly.types]) };
    return { parameter, initial, rows };
  }

  /** Moves a parameter that the loss does not depend on, such as those of another output, back to the constants. */
  private freeze(name: string, value: Tensor): void {
    const inputs = this.graph.inputs.filter((v) => v.name !== name);
    this.graph = { ...this.graph, inputs, initializers: new Map([...this.graph.initializers, [name, value]]) };
  }

  private targets(kind: Targets, output: Val): Val | undefined {
    if (kind === "none") return undefined;
    const info: ValueInfo =
      kind === "labels"
        ? { name: "labels", dtype: "int64", dims: output.dims.toSpliced(1, 1) }
        : { ...output, name: "targets" };
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

  private slot(
    role: StateSlot["role"],
    before: Val,
    after: Val,
    initial: Tensor,
    owner: Pick<StateSlot, "initializer" | "rows"> = {},
  ): void {
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

  finish(loss: Loss | undefined): Step {
    const types = new Map([...this.graph.types, ...this.emit.types]);
    const names = [this.prediction.name, ...Object.values(this.outputs), ...this.state.map((s) => s.output)];
    const outputs = names.map((name): ValueInfo => {
      const type = types.get(name) ?? this.prediction;
      return { name, dtype: type.dtype, dims: type.dims };
    });
    const graph: Graph = {
      ...this.graph,
      name: "training_step",
      nodes: [...this.assembly, ...this.graph.nodes, ...this.emit.nodes],
      outputs,
      types,
    };
    const opsets = new Map([...this.model.opsets, ["com.microsoft", 1] as const]);
    const batch = this.data[0]?.dims?.[0];
    invariant(typeof batch === "number", "the batch is bound before a step is built");
    return {
      model: sweepDead({ ...this.model, graph, opsets }),
      state: this.state,
      batch,
      targets: loss?.targets ?? "none",
      gradients: this.gradients,
      ...(loss?.ignoredLabel !== undefined && { ignoredLabel: loss.ignoredLabel }),
      inputs: { data: this.data, ...this.inputs },
      outputs: { prediction: this.prediction.name, ...this.outputs },
    };
  }
}

/** Undefined when all rows of the parameter train. Throws: `config.invalid`. */
function partOf(graph: Graph, name: string, whole: Tensor, indices: readonly number[]): Rows | undefined {
  const rows = { axis: outputAxisOf(graph, name), indices: [...indices].sort((a, b) => a - b) };
  checkRows(name, rows, whole);
  return indices.length === whole.dims[rows.axis] ? undefined : rows;
}
