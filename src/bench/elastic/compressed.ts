import { adaptEach, type AdaptOptions } from "../../adapt/index.js";
import { peakStepBytes, weightBytes } from "../../elastic/index.js";
import { distillation, type Model, parametersOf, sgd, type StepOptions } from "../../graph/index.js";
import { createMachine, Predictor, type RunTensor, Trainer } from "../../run/node.js";
import { batches, type Domain } from "../../vision/index.js";
import {
  adaptationBytes,
  adaptOptions,
  type Contestant,
  type CourseOptions,
  type Entry,
  imageDims,
  settingsOf,
} from "./course.js";
import { Measures, type StayReport } from "./measures.js";
import { createMagnitudeCut } from "./networks.js";

/**
 * Adapts the large network to each stay, cuts it to the size of a surrogate by the L1 norm of its filters, and lets the small one learn
 * from the large one on the images that arrived.
 *
 * Source: the baseline "adapt, then compress" of the authors' code. Differs: no images beyond those of the stay.
 */
export const compressed = (entry: Entry): Contestant => ({
  ...{ name: entry.name, kind: entry.kind, method: entry.method.name },
  settings: settingsOf(entry, [{ continual: false }, { continual: true }]),
  async *run({ large }, stays, course) {
    await using measures = new Measures(course);
    const options = { ...adaptOptions(entry.method, course), continual: course.setting.continual };
    let peakBytes: number | undefined; // the same in all stays
    const results = compressEach(
      large,
      stays.map(({ arriving }) => arriving),
      options,
      course,
      measures.onStep,
    );
    for await (const [stay, { report, model, small, cutMs }, wallSeconds] of measures.follow(stays, results)) {
      peakBytes ??= Math.max(
        adaptationBytes(large, course, options),
        weightBytes(large.graph) + peakStepBytes(small, learningPlan(small), imageDims(course)),
      );
      yield {
        ...(await measures.resultOf(stay, model, report, wallSeconds)),
        ...{ beforeAccuracy: null, generationSeconds: cutMs / 1000, peakBytes },
      };
    }
  },
});

interface Compressed {
  readonly report: StayReport;
  /** As it was cut, and as it was left. */
  readonly small: Model;
  readonly model: Model;
  readonly cutMs: number;
}

async function* compressEach(
  large: Model,
  domains: readonly Domain[],
  options: AdaptOptions,
  course: CourseOptions,
  onStep: AdaptOptions["onStep"],
): AsyncGenerator<Compressed, void, undefined> {
  const cut = createMagnitudeCut(large, course.sparsity);
  let index = 0;
  for await (const { report, model: teacher } of adaptEach(large, domains, options)) {
    const started = performance.now();
    const small = cut(teacher);
    const cutMs = performance.now() - started;
    const { model, ...learning } = await learnFrom(teacher, small, domains[index++]!, course, (step, standing) =>
      onStep?.(
        { ...step, step: report.steps + step.step },
        { ...standing, adaptSeconds: report.adaptSeconds + standing.adaptSeconds },
      ),
    );
    const steps = report.steps + learning.steps;
    const adaptSeconds = report.adaptSeconds + learning.seconds;
    yield {
      report: { ...report, steps, adaptSeconds, refused: report.refused + learning.refused },
      small,
      model,
      cutMs,
    };
  }
}

/** Over the images that arrived; the teacher is asked once. */
const PASSES = 4;
const RATE = 0.02;

const learningPlan = (model: Model): StepOptions => ({
  statistics: { sourceWeight: 0, variance: "unbiased", layers: "trained" },
  train: {
    loss: distillation(),
    optimizer: sgd({ momentum: 0.9, nesterov: true }),
    parameters: parametersOf(model).map(({ name }) => name),
  },
});

async function learnFrom(
  teacher: Model,
  small: Model,
  domain: Domain,
  course: CourseOptions,
  onStep: NonNullable<AdaptOptions["onStep"]>,
): Promise<{ model: Model; steps: number; refused: number; seconds: number }> {
  await using machine = createMachine(course);
  const trainer = Trainer.create(small, { ...learningPlan(small), machine, threads: course.threads });
  const predictor = await Predictor.create(machine, teacher, course);
  const lessons: { readonly images: RunTensor; readonly targets: RunTensor }[] = [];
  let [steps, refused, milliseconds] = [0, 0, 0];
  for await (const { images, labels } of batches(domain, course)) {
    if (labels.length < 2) continue; // statistics of one image say nothing
    const { output: targets, runMs } = await predictor.predict(images);
    lessons.push({ images, targets });
    milliseconds += runMs;
  }
  await predictor.dispose();
  for (const lesson of Array.from({ length: PASSES }, () => lessons).flat()) {
    const { accepted, loss, runMs } = await trainer.step(lesson, {
      learningRate: RATE,
      statisticsMomentum: 0.1,
      answers: false,
    });
    [steps, milliseconds] = [steps + 1, milliseconds + runMs];
    if (!accepted) refused++;
    const adaptSeconds = milliseconds / 1000;
    await onStep(
      { domain: domain.name, step: steps, loss, accepted },
      { adaptSeconds, exportModel: () => trainer.exportModel() },
    );
  }
  return { model: await trainer.exportModel(), steps, refused, seconds: milliseconds / 1000 };
}
