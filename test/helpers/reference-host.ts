import { LimberError, Random, type Tensor } from "../../src/base/index.js";
import { type MethodPlan, MethodRun, type MethodRunOptions, type StepEngine } from "../../src/adapt/index.js";
import {
  buildStep,
  evaluate,
  inferShapes,
  isMeasured,
  type Model,
  type ReferenceTensor,
  type StateSlot,
  type Step,
  toReference,
} from "../../src/graph/index.js";
import type {
  Batch,
  Forward,
  ForwardOptions,
  ResetOptions,
  RunTensor,
  StepReport,
  StepSettings,
} from "../../src/run/node.js";
import { parsePreprocessing } from "../../src/vision/index.js";

const scalar = (value: number): ReferenceTensor => ({ dtype: "float32", dims: [], data: Float64Array.of(value) });

/** Steps of a plan in float64 on the reference interpreter, with the same answers as `Trainer`. */
export class ReferenceEngine implements StepEngine {
  readonly compiled: Step;
  private state = new Map<string, ReferenceTensor>();
  private readonly steps = new Map<number, Step>();

  constructor(
    /** Bound to a batch, or free for batches of any size. */
    private readonly model: Model,
    private readonly plan: Pick<MethodPlan, "statistics" | "train" | "observe">,
  ) {
    this.compiled = this.stepFor(2);
    this.start();
  }

  private bind(batch: number): Model {
    const isFree = typeof this.model.graph.inputs[0]!.dims![0] === "string";
    return isFree ? inferShapes(this.model, { batch }) : this.model;
  }

  private stepFor(batch: number): Step {
    const step = this.steps.get(batch) ?? buildStep(this.bind(batch), this.plan);
    this.steps.set(batch, step);
    return step;
  }

  private start({ keeps = [] }: ResetOptions = {}): void {
    const kept = this.compiled.state.filter(({ role }) => keeps.includes(role));
    const values = kept.map(({ input }) => [input, this.state.get(input)!] as const);
    this.state = new Map(this.compiled.state.map(({ input, initial }) => [input, toReference(initial)]));
    for (const [input, value] of values) this.state.set(input, value);
  }

  reset(options?: ResetOptions): Promise<void> {
    this.start(options);
    return Promise.resolve();
  }

  readBuffer(name: string): Promise<Map<string, RunTensor>> {
    return Promise.resolve(this.weights(name));
  }

  step({ images, targets, inputs = {} }: Batch, settings: StepSettings): Promise<StepReport> {
    const { inputs: own, outputs, state, model } = this.stepFor(images.dims[0]!);
    const feeds = new Map<string, ReferenceTensor>([...this.state, [own.data[0]!.name, asReference(images)]]);
    if (own.targets) feeds.set(own.targets.name, asReference(targets!));
    for (const [key, { name }] of own.extra) feeds.set(name, asReference(inputs[key]!));
    if (own.learningRate) feeds.set(own.learningRate, scalar(settings.learningRate!));
    if (own.statisticsMomentum) feeds.set(own.statisticsMomentum, scalar(settings.statisticsMomentum ?? 0));
    const results = evaluate(model, feeds);
    const numberOf = (name: string | undefined): number | undefined =>
      name === undefined ? undefined : results.get(name)!.data[0];
    const measured = state.filter(({ role }) => isMeasured(role));
    const finite = [outputs.loss, outputs.gradientNorm, ...measured.map(({ output }) => output)];
    const accepted = finite.every((name) => name === undefined || results.get(name)!.data.every(Number.isFinite));
    const updated = accepted && numberOf(outputs.applies) !== 0;
    const changed = state.filter(({ role }) => accepted && (updated || isMeasured(role)));
    for (const { input, output } of changed) this.state.set(input, results.get(output)!);
    const pick = (names: Iterable<readonly [string, string]>): Record<string, RunTensor> =>
      Object.fromEntries(Array.from(names, ([key, name]) => [key, results.get(name)!]));
    return Promise.resolve({
      prediction: results.get(outputs.prediction)!,
      loss: numberOf(outputs.loss),
      gradientNorm: numberOf(outputs.gradientNorm),
      measures: pick(outputs.measures),
      observed: pick(outputs.observed.map((name) => [name, name])),
      ...{ accepted, updated, runMs: 0 },
    });
  }

  predict(images: RunTensor, options: ForwardOptions = {}): Promise<Forward> {
    const { weights = "current", statistics = "plan", statisticsMomentum = 0 } = options;
    const holds = ({ role, initializer, buffer }: StateSlot): string | undefined =>
      weights === "current"
        ? role === "parameter"
          ? initializer
          : undefined
        : buffer?.name === weights
          ? buffer.parameter
          : undefined;
    const suffix = weights === "current" ? "" : `${weights}:`;
    const slots = this.compiled.state;
    const sources = slots.flatMap((slot) => {
      const name = holds(slot);
      return name === undefined ? [] : [[name, this.state.get(slot.input)!] as const];
    });
    const stored =
      statistics === "stored" && weights !== "source" ? slots.filter(({ role }) => role === "statistic") : [];
    const keep = ({ input, initial }: Pick<StateSlot, "input" | "initial">): ReferenceTensor =>
      this.state.get(suffix + input) ?? toReference(initial);
    const values = new Map([...sources, ...stored.map((slot) => [slot.initializer!, keep(slot)] as const)]);
    const step = buildStep(this.bind(images.dims[0]!), {
      statistics: statistics === "plan" ? this.plan.statistics : "fixed",
      observe: this.plan.observe,
      reads: { parameters: [...values.keys()], rows: this.plan.train?.rows },
    });
    const feeds = new Map<string, ReferenceTensor>([[step.inputs.data[0]!.name, asReference(images)]]);
    for (const { input, initializer } of step.reads) feeds.set(input, values.get(initializer!)!);
    for (const slot of step.state) feeds.set(slot.input, keep(slot));
    if (step.inputs.statisticsMomentum) feeds.set(step.inputs.statisticsMomentum, scalar(statisticsMomentum));
    const results = evaluate(step.model, feeds);
    const isFinite = step.state.every(({ output }) => results.get(output)!.data.every(Number.isFinite));
    if (suffix !== "" && isFinite)
      for (const { input, output } of step.state) this.state.set(suffix + input, results.get(output)!);
    const { prediction, observed } = step.outputs;
    return Promise.resolve({
      prediction: results.get(prediction)!,
      observed: Object.fromEntries(observed.map((name) => [name, results.get(name)!])),
      runMs: 0,
    });
  }

  /**
   * The arrays of one kind by the names of the model's initializers: parameters (rows of them), statistics, or what the optimizer keeps;
   * statistics of `owner` are those that its forward passes moved.
   */
  weights(
    kind: "parameter" | "statistic" | (string & {}) = "parameter",
    owner = "current",
  ): Map<string, ReferenceTensor> {
    return new Map(
      this.compiled.state.flatMap(({ input, role, initializer, buffer }) => {
        const name = role === kind ? initializer : buffer?.name === kind ? buffer.parameter : undefined;
        const value = this.state.get(owner === "current" ? input : `${owner}:${input}`);
        return name === undefined || !value ? [] : [[name, value] as const];
      }),
    );
  }

  /** What losses carry, by their names for it. */
  carried(name: string): ReferenceTensor {
    const value = this.state.get(`${name}:carried`);
    if (!value) throw new LimberError("config.invalid", `carried "${name}": an array of the loss, got none`);
    return value;
  }
}

/** A method in float64: the plan's steps on the reference, and what it does on the host around them. */
export function createReferenceRun(
  model: Model,
  plan: MethodPlan,
  options: Partial<MethodRunOptions> & { readonly seed?: number } = {},
): { readonly run: MethodRun; readonly engine: ReferenceEngine } {
  const engine = new ReferenceEngine(model, plan);
  const [, , height, width] = model.graph.inputs[0]!.dims as number[];
  const preprocessing = parsePreprocessing({ width, height });
  const random = new Random(options.seed ?? 0);
  return { run: new MethodRun(plan, engine, { random, model, preprocessing, ...options }), engine };
}

const asReference = (value: RunTensor | ReferenceTensor | Tensor): ReferenceTensor =>
  value.data instanceof Float64Array && value.dtype !== "float64" ? (value as ReferenceTensor) : toReference(value);
