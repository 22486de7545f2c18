import { accuracyOf, type AdaptOptions, type DomainReport, evaluate } from "../../adapt/index.js";
import { invariant } from "../../base/index.js";
import { costOf, inferShapes, type Model } from "../../graph/index.js";
import { createMachine, type Machine, Predictor } from "../../run/node.js";
import { channelsOf, type Domain, type Preprocessing } from "../../vision/index.js";
import type { CourseOptions, StayResult } from "./course.js";
import type { CurvePoint } from "./rows.js";
import type { Stay } from "./sequence.js";

/** What a method did in a stay. */
export type StayReport = Pick<DomainReport, "online" | "adaptSeconds" | "steps" | "refused" | "collapses">;

/** Measures what a contestant makes of its stays, in a worker of its own; the time it takes is nobody's. */
export class Measures {
  /** For the contestant's steps: measures after every `curve` of them. */
  readonly onStep: AdaptOptions["onStep"];
  private readonly machine: Machine;
  private stay: Stay | undefined;
  private curve: CurvePoint[] = [];
  private curveMs = 0;

  constructor(private readonly course: CourseOptions) {
    this.machine = createMachine(course);
    const { curve: every } = course;
    if (every !== undefined)
      this.onStep = async ({ step }, { adaptSeconds, exportModel }) => {
        if (step % every !== 0) return;
        const started = performance.now();
        const accuracy = await this.accuracyOf(await exportModel(), this.stay!.test);
        this.curve.push({ step, adaptSeconds, accuracy });
        this.curveMs += performance.now() - started;
      };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }

  /** Each stay with what came of it, and how long that took. Units: seconds. */
  async *follow<T>(
    stays: readonly Stay[],
    results: AsyncGenerator<T, void, undefined>,
  ): AsyncGenerator<readonly [Stay, T, number], void, undefined> {
    try {
      for (const stay of stays) {
        [this.stay, this.curve, this.curveMs] = [stay, [], 0];
        const started = performance.now();
        const { value } = await results.next();
        invariant(value !== undefined, "a course gives as many results as it was given domains");
        yield [stay, value, (performance.now() - started - this.curveMs) / 1000];
      }
    } finally {
      await results.return();
    }
  }

  async accuracyOf(model: Model, domain: Domain): Promise<number> {
    const predictor = await Predictor.create(this.machine, model, this.course);
    const { preprocessing, batchSize, signal } = this.course;
    const tally = await evaluate(predictor, domain, { preprocessing, batchSize, signal });
    await predictor.dispose();
    return accuracyOf(tally);
  }

  async resultOf(
    { arriving, test }: Stay,
    model: Model,
    { online, adaptSeconds, steps, refused, collapses }: StayReport,
    wallSeconds: number,
  ): Promise<Omit<StayResult, "beforeAccuracy" | "generationSeconds" | "peakBytes">> {
    return {
      ...{ images: arriving.samples, testImages: test.samples, adaptSeconds, steps, refused, collapses, wallSeconds },
      ...{ onlineAccuracy: accuracyOf(online), curve: this.curve },
      ...{ afterAccuracy: await this.accuracyOf(model, test), ...costsOf(model, this.course.preprocessing) },
    };
  }
}

/** Of one image, and of the trained numbers. */
function costsOf(model: Model, preprocessing: Preprocessing): { macs: number; sizeBytes: number } {
  const { height, width } = preprocessing;
  const [input] = model.graph.inputs;
  const inputDims = { [input!.name]: [1, channelsOf(preprocessing), height, width] };
  const isOpen = typeof input!.dims?.[0] !== "number";
  const { macs, parameters } = costOf(inferShapes(model, isOpen ? { inputDims } : {}));
  return { macs, sizeBytes: 4 * parameters };
}
