import { invariant, isFloat, LimberError, scalar, type Tensor, zeros } from "../../base/index.js";
import type { Graph, Model, Node, TensorType, ValueInfo } from "../ir/index.js";
import { type Choose, Emitter, type Val } from "../ops/index.js";
import { foldConstants, sweepDead, weightsOf } from "../passes/index.js";
import { backward } from "./backward.js";
import { copyForward } from "./copy-forward.js";
import { formulateConvolutions } from "./forward.js";
import { readGelu } from "./gelu.js";
import { type Evaluation, globalNorm, type Descent } from "./descent.js";
import type { Carried, ForwardPass, Loss, Targets } from "./losses.js";
import { findBatchNormalized, normalizeWithBatch, type Statistics, type StatisticsHost } from "./normalization.js";
import { assembleRows } from "./rows-assemble.js";
import { formatRows, partOf, type Rows, takeRows } from "./rows.js";
import { exposeSaved } from "./saved.js";
import type { Constant, StateSlot, Step, StepOptions, TrainOptions } from "./step.js";

/** A parameter as the step changes it: all of it, or the rows that train. */
interface Trained {
  readonly parameter: Val;
  readonly initial: Tensor;
  readonly rows?: Rows;
}

const plainDescent: Descent = ({ at }) => at();

/**
 * Turns a model with static shapes into a training step: forward, loss, gradients, clipping, update, all in one graph.
 *
 * The step never writes into its inputs, so a caller that keeps two sets of buffers can refuse a bad step by not swapping them.
 * Throws: `config.invalid` for parameters that are not float initializers; `gradient.missing`; `shape.unknown`.
 */
export function buildStep(model: Model, options: StepOptions): Step {
  const parts = buildStepInParts(model, options);
  let part = parts.next();
  while (!part.done) part = parts.next();
  return part.value;
}

/** `buildStep` in parts, so that a thread that also answers others can do so between them. */
export function* buildStepInParts(model: Model, options: StepOptions): Generator<undefined, Step, undefined> {
  const builder = new StepBuilder(model);
  builder.normalize(options.statistics, options.train?.parameters ?? []);
  if (options.reads) builder.read(options.reads);
  if (options.train) {
    yield;
    const gradients = builder.differentiate(options.train, options.choose);
    yield;
    builder.update(options.train, gradients);
    yield;
  }
  const step = builder.finish(options.train?.loss, options.observe ?? []);
  return options.exchangeable ? { ...step, ...builder.openConstants(step.model) } : step;
}

/** Writes a training step piece by piece, in the order of its methods. */
class StepBuilder implements StatisticsHost {
  readonly emit: Emitter;
  private graph: Graph;
  /** The nodes as gradients are derived from them, while `graph` holds them as they are to run. */
  private derivable: readonly Node[] = [];
  /** The model before statistics of the batch came in, and the pass of the prediction. */
  private readonly source: Graph;
  private first: Graph;
  private readonly state: StateSlot[] = [];
  private readonly carried = new Map<string, Carried & { after?: Val | undefined; readonly initial: Tensor }>();
  private readonly constants = new Map<string, Val>();
  /** Which weight, or rows of one, a constant of the step holds. */
  private readonly origins = new Map<string, Pick<Constant, "initializer" | "rows">>();
  /** Puts parameters of which only rows train together; runs before all else, and gradients stop there. */
  private readonly assembly: Node[] = [];
  private readonly data: readonly ValueInfo[];
  private readonly prediction: ValueInfo;
  private readonly reads: Step["reads"][number][] = [];
  private readonly extra = new Map<string, ValueInfo>();
  private readonly measures = new Map<string, string>();
  private readonly conditions: Val[] = [];
  private readonly tracked = new Map<string, readonly [initializer: string, initial: Tensor]>();
  private trained: ReadonlyMap<string, Trained> = new Map();
  private inputs: Omit<Step["inputs"], "data" | "extra"> = {};
  private outputs: Pick<Step["outputs"], "loss" | "gradientNorm" | "applies"> = {};
  private gradients: readonly string[] = [];

  constructor(private readonly model: Model) {
    // Exporters compute sizes at run time; with the batch bound they are constants. Weights stay apart, by their names.
    const weights = [...model.graph.initializers].flatMap(([name, { dtype }]) => (isFloat(dtype) ? [name] : []));
    this.graph = this.source = this.first = foldConstants(model, weights).graph;
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
    const rewritten = normalizeWithBatch(this.graph, statistics, chosen, this);
    this.graph = { ...rewritten.graph, inputs: this.graph.inputs };
    const { emit } = this;
    for (const { tracked, used, replaces } of rewritten.statistics) {
      for (const kind of ["mean", "variance"] as const) {
        // s ← s + m·(used - s): m = 0.1 is the usual running average, m = 1/t the mean over t steps.
        const before = tracked[kind];
        const next = replaces
          ? used[kind]
          : emit.add(before, emit.mul(emit.sub(used[kind], before), this.statisticsMomentum()));
        const [name, initial] = this.tracked.get(before.name)!;
        this.slot("statistic", before, next, initial, { initializer: name });
      }
    }
    this.graph = { ...this.graph, nodes: [...this.graph.nodes, ...this.emit.drain()] };
  }

  private statisticsMomentum(): Val {
    const known = this.inputs.statisticsMomentum;
    const momentum =
      known === undefined
        ? this.newInput("statistics_momentum", scalar("float32", 0))
        : this.emit.value(known, scalar("float32", 0));
    this.inputs = { ...this.inputs, statisticsMomentum: momentum.name };
    return momentum;
  }

  track(name: string): Val {
    const initial = this.graph.initializers.get(name);
    if (!initial) throw new LimberError("config.invalid", `statistic "${name}": an initializer, got a computed value`);
    const tracked = this.newInput(`${name}:tracked`, initial);
    this.tracked.set(tracked.name, [name, initial]);
    return tracked;
  }

  carry(name: string, initial: Tensor): Carried {
    const known = this.carried.get(name);
    if (known) return known;
    const carried = {
      initial,
      before: this.newInput(`${name}:carried`, initial),
      after: undefined as Val | undefined,
      next(after: Val): void {
        this.after = after;
      },
    };
    this.carried.set(name, carried);
    return carried;
  }

  /** Parameters become inputs, and nothing changes them. */
  read({ parameters, rows }: Pick<TrainOptions, "parameters" | "rows">): void {
    for (const name of parameters) {
      const { parameter, ...rest } = this.parameter(name, rows?.get(name));
      this.reads.push({ input: parameter.name, initializer: name, ...rest });
    }
  }

  /** Writes the loss and its gradients, by parameter. */
  differentiate(options: TrainOptions, choose: Choose | undefined): ReadonlyMap<string, Val> {
    const { loss, parameters, rows, descent = plainDescent } = options;
    const { emit } = this;
    const trained = new Map(parameters.map((name) => [name, this.parameter(name, rows?.get(name))]));
    this.trained = trained;
    this.first = exposeSaved(this.graph, parameters, emit);
    this.derivable = this.first.nodes;
    this.graph = formulateConvolutions(this.first, new Set(parameters), emit, choose);
    const targets = this.targets(loss.targets, this.value(this.prediction.name));
    const values = new Map(Array.from(trained, ([name, { parameter }]) => [name, parameter]));
    const evaluation = descent({
      emit,
      parameters: values,
      at: (point, other = loss) => this.evaluate(other, targets, point, choose),
    });
    const gradients = new Map(
      parameters.flatMap((name) => {
        const g = evaluation.gradients.get(name);
        return g ? [[name, g] as const] : [];
      }),
    );
    if (gradients.size === 0) {
      throw new LimberError("gradient.missing", `loss "${loss.name}": a path from a trainable parameter, got none`, {
        parameters,
      });
    }
    for (const [name, { parameter, initial, rows: part }] of trained) {
      if (gradients.has(name)) continue;
      this.freeze(parameter.name, initial);
      this.origins.set(parameter.name, { initializer: name, rows: part });
    }
    this.outputs = { loss: evaluation.loss.name };
    return gradients;
  }

  /** Writes the norm of the gradients, and what they make of the parameters. */
  update({ optimizer, clipNorm, scale }: TrainOptions, gradients: ReadonlyMap<string, Val>): void {
    const { emit } = this;
    const norm = globalNorm(emit, gradients.values());
    this.outputs = { ...this.outputs, gradientNorm: norm.name };
    this.gradients = [...gradients.values()].map(({ name }) => name);
    if (this.conditions.length > 0) {
      const applies = this.conditions.map((condition) => emit.cast(condition, "float32"));
      this.outputs = { ...this.outputs, applies: applies.reduce((a, b) => emit.mul(a, b)).name };
    }
    const clip =
      clipNorm === undefined ? undefined : emit.min(emit.div(emit.scalar(clipNorm, norm), emit.add(norm, 1e-6)), 1);
    const learningRate = this.newInput("learning_rate", scalar("float32", 0));
    this.inputs = { ...this.inputs, learningRate: learningRate.name };
    const stepCount = this.count(learningRate);
    for (const [name, raw] of gradients) {
      const { parameter, initial, rows: part } = this.trained.get(name)!;
      const gradient = clip ? emit.mul(raw, clip) : raw;
      const startOf = (kind: string): Tensor =>
        optimizer.copies?.includes(kind) ? initial : zeros(parameter.dtype, parameter.dims);
      const start = new Map(optimizer.buffers.map((kind) => [kind, startOf(kind)]));
      const buffers = Object.fromEntries([...start].map(([kind, t]) => [kind, this.newInput(`${name}:${kind}`, t)]));
      const factor = scale?.get(name) ?? 1;
      const update = optimizer.update({
        ...{ emit, parameter, gradient, buffers, stepCount },
        learningRate: factor === 1 ? learningRate : emit.mul(learningRate, factor),
        source: this.constant(`${name}:start`, initial, { initializer: name, rows: part }),
        input: (kind) => this.extraInput(`${kind}:${name}`, parameter),
      });
      const owner = part ? { initializer: name, rows: part } : { initializer: name };
      this.slot("parameter", parameter, update.parameter, initial, owner);
      for (const [kind, t] of start)
        this.slot("optimizer", buffers[kind]!, update.buffers[kind]!, t, { buffer: { name: kind, parameter: name } });
    }
  }

  /** Writes a loss at some values of the parameters, and its gradients there. */
  private evaluate(
    loss: Loss,
    targets: Val | undefined,
    point: ReadonlyMap<string, Val> | undefined,
    choose: Choose | undefined,
  ): Evaluation {
    const { emit } = this;
    const moved = new Map(point && this.wholeParameters(point));
    const wholeOf = (name: string): string => moved.get(name) ?? name;
    const pass = point ? this.copy(this.first, moved, choose) : this.asIs();
    const output = pass.output;
    const value = loss.build({
      ...{ emit, targets, output, unperturbed: point ? this.value(this.prediction.name) : undefined },
      value: (name) => pass.value(name),
      parameters: Array.from(this.trained.keys(), (name) => {
        const whole = this.model.graph.initializers.get(name)!;
        const source = this.constant(`${name}:source`, whole, { initializer: name });
        return { name, value: emit.value(wholeOf(name), whole), source };
      }),
      carry: (name, initial) => this.carry(name, initial),
      input: (name, type) => this.extraInput(name, type),
      pass: (images, weights, instead) => this.pass(images, weights === "source" ? undefined : moved, choose, instead),
      measure: (name, measured) => this.measures.set(name, measured.name),
      onlyIf: (condition) => this.conditions.push(condition),
    });
    const names = [...this.trained.keys()];
    const rows = new Map(
      names.flatMap((name) => {
        const part = this.trained.get(name)!.rows;
        return part ? [[wholeOf(name), part] as const] : [];
      }),
    );
    const full = readGelu({
      ...this.graph,
      nodes: [...this.derivable, ...emit.nodes],
      types: new Map([...this.graph.types, ...emit.types]),
    });
    const found = backward(full, { loss: value.name, wrt: names.map(wholeOf), rows, emit, choose });
    const gradients = new Map(
      names.flatMap((name) => {
        const g = found.get(wholeOf(name));
        return g ? [[name, g] as const] : [];
      }),
    );
    return { output, loss: value, gradients };
  }

  /** The names of whole parameters for values of what trains of them. */
  private wholeParameters(point: ReadonlyMap<string, Val>): [string, string][] {
    return Array.from(point, ([name, value]) => {
      const { rows } = this.trained.get(name)!;
      if (!rows) return [name, value.name];
      const whole = this.emit.freshName(name);
      this.settle();
      this.append(this.assemble(whole, name, rows, value.name));
      return [name, whole];
    });
  }

  private asIs(): ForwardPass {
    return { output: this.value(this.prediction.name), value: (name) => this.value(name) };
  }

  private pass(
    images: string,
    moved: ReadonlyMap<string, string> | undefined,
    choose: Choose | undefined,
    instead: ReadonlyMap<string, Val> = new Map(),
  ): ForwardPass {
    const [image] = this.data;
    const other = this.extraInput(images, this.value(image!.name)).name;
    const others = [
      [image!.name, other] as const,
      ...Array.from(instead, ([name, value]) => [name, value.name] as const),
    ];
    if (moved) return this.copy(this.first, new Map([...moved, ...others]), choose);
    const start = Array.from(this.trained.keys(), (name): [string, string] => [
      name,
      this.constant(`${name}:source`, this.model.graph.initializers.get(name)!, { initializer: name }).name,
    ]);
    return this.copy(this.source, new Map([...start, ...others]), choose);
  }

  private copy(graph: Graph, substitutes: ReadonlyMap<string, string>, choose: Choose | undefined): ForwardPass {
    this.settle();
    const { nodes, nameOf } = copyForward(graph, substitutes, this.emit);
    const types = new Map([...this.graph.types, ...this.emit.types]);
    const parameters = new Set(Array.from(this.trained.keys(), nameOf));
    const running = formulateConvolutions({ ...this.graph, nodes, types }, parameters, this.emit, choose);
    this.append(nodes, running.nodes);
    const value = (name: string): Val => ({ ...this.value(name), name: nameOf(name) });
    return { output: value(this.prediction.name), value };
  }

  /** Moves what was emitted into the graph, so that other nodes can follow. */
  private settle(): void {
    this.append(this.emit.drain());
  }

  private append(nodes: readonly Node[], running = nodes): void {
    this.derivable = [...this.derivable, ...nodes];
    this.graph = {
      ...this.graph,
      nodes: [...this.graph.nodes, ...running],
      types: new Map([...this.graph.types, ...this.emit.types]),
    };
  }

  /** Counts steps: t ← t + 1, read by the optimizer after the increment. */
  private count(like: Val): Val {
    const before = this.newInput("step_count", scalar(like.dtype, 0));
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
    const parameter = this.newInput(`${name}:rows ${formatRows(rows)}`, initial);
    this.assembly.push(...this.assemble(name, name, rows, parameter.name));
    return { parameter, initial, rows };
  }

  /** The nodes that make `whole` of a parameter whose rows are the value `changed`. */
  private assemble(whole: string, name: string, rows: Rows, changed: string): readonly Node[] {
    const tensor = this.model.graph.initializers.get(name)!;
    const assembly = assembleRows(whole, tensor, rows, changed, (base) => this.emit.freshName(base));
    const initializers = new Map([...this.graph.initializers, ...assembly.initializers]);
    for (const [value, type] of assembly.types) this.emit.types.set(value, type);
    for (const [constant, part] of assembly.parts) this.origins.set(constant, { initializer: name, rows: part });
    this.graph = { ...this.graph, initializers, types: new Map([...this.graph.types, ...assembly.types]) };
    return assembly.nodes;
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
    const targets = this.newInput(info.name, { ...info, dims: info.dims as readonly number[] });
    this.inputs = { ...this.inputs, targets: { ...info, name: targets.name } };
    return targets;
  }

  private newInput(base: string, { dtype, dims }: { dtype: Val["dtype"]; dims: readonly number[] }): Val {
    const name = this.emit.freshName(base);
    this.graph = { ...this.graph, inputs: [...this.graph.inputs, { name, dtype, dims }] };
    return this.emit.value(name, { dtype, dims });
  }

  private extraInput(key: string, type: TensorType): Val {
    const info = this.extra.get(key);
    if (info) return this.emit.value(info.name, info);
    const value = this.newInput(key, { dtype: type.dtype, dims: type.dims as readonly number[] });
    this.extra.set(key, value);
    return value;
  }

  private constant(base: string, tensor: Tensor, origin: Pick<Constant, "initializer" | "rows">): Val {
    const known = this.constants.get(base);
    if (known) return known;
    const name = this.emit.freshName(base);
    this.graph = { ...this.graph, initializers: new Map([...this.graph.initializers, [name, tensor]]) };
    const value = this.emit.value(name, tensor);
    this.constants.set(base, value);
    this.origins.set(name, origin);
    return value;
  }

  private slot(
    role: StateSlot["role"],
    before: Val,
    after: Val,
    initial: Tensor,
    owner: Pick<StateSlot, "initializer" | "rows" | "buffer"> = {},
  ): void {
    this.state.push({ input: before.name, output: after.name, role, initial, ...owner });
  }

  private value(name: string): Val {
    const type =
      this.graph.initializers.get(name) ??
      this.graph.types.get(name) ??
      this.emit.types.get(name) ??
      this.graph.inputs.find((v) => v.name === name) ??
      (name === this.prediction.name ? this.prediction : undefined);
    if (type) return this.emit.value(name, type);
    throw new LimberError("config.invalid", `value "${name}": one of the model, got none of that name`, {
      value: name,
    });
  }

  /** The finished step with the weights that it holds as inputs. */
  openConstants(model: Model): Pick<Step, "model" | "constants"> {
    const { graph } = model;
    for (const name of weightsOf(this.model))
      if (!this.origins.has(name)) this.origins.set(name, { initializer: name });
    const initializers = new Map(graph.initializers);
    const inputs = [...graph.inputs];
    const constants = [...this.origins].flatMap(([input, origin]): Constant[] => {
      const value = initializers.get(input);
      if (!value) return [];
      initializers.delete(input);
      inputs.push({ name: input, dtype: value.dtype, dims: value.dims });
      return [{ input, ...origin }];
    });
    return { model: { ...model, graph: { ...graph, inputs, initializers } }, constants };
  }

  finish(loss: Loss | undefined, observed: readonly string[]): Step {
    for (const [name, { before, after, initial }] of this.carried) {
      invariant(after, `what "${name}" is after the step`);
      this.slot("carried", before, after, initial);
    }
    const types = new Map([...this.graph.types, ...this.emit.types]);
    const names = new Set([
      ...[this.prediction.name, ...observed, ...Object.values(this.outputs), ...this.measures.values()],
      ...this.state.map((s) => s.output),
    ]);
    const outputs = Array.from(names, (name): ValueInfo => {
      const { dtype, dims } = types.get(name) ?? this.value(name);
      return { name, dtype, dims };
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
      reads: this.reads,
      constants: [],
      batch,
      targets: loss?.targets ?? "none",
      gradients: this.gradients,
      ...(loss?.ignoredLabel !== undefined && { ignoredLabel: loss.ignoredLabel }),
      inputs: { data: this.data, extra: this.extra, ...this.inputs },
      outputs: { prediction: this.prediction.name, measures: this.measures, observed, ...this.outputs },
    };
  }
}
