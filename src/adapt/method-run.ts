import { type FloatTensor, invariant } from "../base/index.js";
import { type Model, outputAxisOf } from "../graph/index.js";
import type {
  Batch,
  Forward,
  ForwardOptions,
  QuietReport,
  ResetOptions,
  RunTensor,
  StepReport,
  StepSettings,
} from "../run/node.js";
import { applyView, drawView, type Preprocessing } from "../vision/index.js";
import { mapImages } from "./replay/images.js";
import type { Control, Host, MethodPlan, StreamBatch, TrainedShape } from "./method.js";

/** What runs the steps of a plan and owns the weights: `Trainer`, or the float64 reference in tests. */
export interface StepEngine {
  step(batch: Batch, settings: StepSettings & { readonly answers: false }): Promise<QuietReport>;
  step(batch: Batch, settings: StepSettings): Promise<StepReport>;
  predict(images: RunTensor, options?: ForwardOptions): Promise<Forward>;
  reset(options?: ResetOptions): Promise<void>;
  /** What the optimizer keeps of each parameter under a name. */
  readBuffer(name: string): Promise<Map<string, RunTensor>>;
}

export interface MethodRunOptions extends Pick<Host, "source" | "random"> {
  readonly model: Model;
  readonly preprocessing: Preprocessing;
}

/** A method at work: its plan, the engine that steps, and what it does on the host. */
export class MethodRun {
  /** What the plan gave no `control` for: a step on each batch. */
  private readonly control: Control;
  private readonly host: Host;
  /** Steps since the last reset or domain. */
  private steps = 0;
  /** Time of the engine, and of making views, for the present batch. Units: milliseconds. */
  private spentMs = 0;

  constructor(
    readonly plan: MethodPlan,
    private readonly engine: StepEngine,
    { random, source, model, preprocessing }: MethodRunOptions,
  ) {
    this.host = {
      ...{ random, source, trained: trainedShapes(model, plan) },
      augment: (images, { per = "batch", ...options } = {}) => {
        const start = performance.now();
        const draw = (some: RunTensor): RunTensor =>
          applyView(some as FloatTensor, preprocessing, drawView(preprocessing, random, options), random);
        const view = per === "batch" ? draw(images) : mapImages(images, draw);
        this.spentMs += performance.now() - start;
        return view;
      },
      step: (batch, settings) => this.stepEngine(batch, settings),
      predict: async (images, { tracks, ...options } = {}) => {
        const statisticsMomentum = tracks ? 1 / (this.steps + 1) : 0;
        const forward = await engine.predict(images, { ...options, statisticsMomentum });
        this.spentMs += forward.runMs;
        return forward;
      },
      reset: (options) => this.reset(options),
    };
    this.control = plan.control?.(this.host) ?? {};
  }

  private async stepEngine(batch: Batch, settings?: StepSettings): Promise<StepReport> {
    return this.count(await this.engine.step(batch, { ...this.defaults, ...settings }));
  }

  private get defaults(): StepSettings {
    // The statistics of an adapted model are the mean over the steps of this domain.
    return { statisticsMomentum: 1 / (this.steps + 1), learningRate: this.plan.train?.learningRate };
  }

  private count<R extends QuietReport>(report: R): R {
    this.steps++;
    this.spentMs += report.runMs;
    return report;
  }

  /** Takes a batch: what is served for it, and what became of the step; its time is that of all that was run for it. */
  async step(batch: StreamBatch, samples?: Batch["samples"]): Promise<StepReport> {
    const { images, targets } = batch;
    this.spentMs = 0;
    const report = await (this.control.step?.(batch) ?? this.host.step({ images, targets, samples }));
    return { ...report, runMs: this.spentMs };
  }

  /** Takes a batch that nobody asks an answer for. */
  async train({ images, targets, ...batch }: StreamBatch): Promise<void> {
    if (this.control.step) await this.step({ images, targets, ...batch });
    else this.count(await this.engine.step({ images, targets }, { ...this.defaults, answers: false }));
  }

  beginPass(pass: number, stream: () => AsyncIterable<StreamBatch>): Promise<void> {
    return this.control.beginPass?.(pass, stream) ?? Promise.resolve();
  }

  /** Goes on in another domain: the statistics of this one start anew. */
  beginDomain(): void {
    this.steps = 0;
  }

  /** Back to the start in every respect. */
  async reset(options?: ResetOptions): Promise<void> {
    await this.engine.reset(options);
    this.steps = 0;
    this.control.reset?.();
  }

  exportModel(adapted: Model): Model {
    return this.control.exportModel?.(adapted) ?? adapted;
  }
}

function trainedShapes({ graph }: Model, { train }: MethodPlan): TrainedShape[] {
  return (train?.parameters ?? []).map((name) => {
    const { dims } = graph.initializers.get(name)!;
    const rows = train?.rows?.get(name);
    return { name, dims: rows ? dims.with(outputAxisOf(graph, name), rows.length) : dims };
  });
}

/** The next batch of the source's images, for methods that cannot do without. */
export async function nextSource({ source }: Host): Promise<StreamBatch> {
  invariant(source, "the loop gives images of the source to a method that declares them");
  return (await source.next()).value;
}
