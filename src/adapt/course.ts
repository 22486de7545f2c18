import { isLimberError, type LimberError, type Random } from "../base/index.js";
import type { Model } from "../graph/index.js";
import type { RunTensor, StepReport, Trainer } from "../run/node.js";
import { type Batch, batches, type Domain, type Skipped } from "../vision/index.js";
import { CollapseGuard } from "./guard.js";
import type { StreamBatch } from "./method.js";
import type { MethodRun } from "./method-run.js";
import { addTallies, EMPTY_TALLY, type Tally, tallyBatch } from "./metrics.js";
import type { AdaptOptions, DomainReport } from "./options.js";
import { isClassifier } from "./task.js";

export interface Course extends AdaptOptions {
  readonly batchSize: number;
  readonly indices: readonly number[] | undefined;
  readonly random: Random;
  /** Whether images of this kind have gone through the model before. */
  readonly proven: boolean;
}

type CourseReport = Pick<DomainReport, "online" | "adaptSeconds" | "steps" | "refused" | "collapses" | "cacheHits">;

/** The model as it stands, ready to be written. */
export const exportAdapted = async (run: MethodRun, trainer: Trainer): Promise<Model> =>
  run.exportModel(await trainer.exportModel({ weights: run.plan.exports }));

/** The steps of one domain: one pass for online methods, as many as planned for others. */
export async function runCourse(
  run: MethodRun,
  trainer: Trainer,
  domain: Domain,
  course: Course,
): Promise<CourseReport> {
  const { indices, random } = course;
  const { train, statistics, control } = run.plan;
  const epochs = train?.epochs ?? 1;
  const adapts = train !== undefined || control !== undefined || statistics !== "fixed";
  const size = indices?.length ?? domain.samples;
  const hitsBefore = trainer.cache.hits;
  trainer.forgetSamples(); // those of another domain
  const isGuarded = train && course.method.labels === "none" && !course.withoutGuard && isClassifier(trainer.model);
  const guard = isGuarded ? new CollapseGuard() : undefined;
  let [online, milliseconds, steps, refused, collapses, seen, done] = [EMPTY_TALLY, 0, 0, 0, 0, 0, 0];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = indices && (epoch === 0 ? indices : random.shuffled(indices));
    const read = (): AsyncGenerator<Batch> => batches(domain, { ...course, indices: order });
    await run.beginPass(epoch, () => streamOf(read(), course));
    for await (const batch of read()) {
      const outcome = batch.labels.length > 0 ? await stepUnlessLeftOver(run, batch, course, seen) : undefined;
      const leftOver = isLimberError(outcome);
      const skipped = leftOver ? [...batch.skipped, ...skip(domain, batch, outcome)] : batch.skipped;
      const report = leftOver ? undefined : outcome;
      if (report) seen++;
      if (epoch === 0) online = addTallies(online, countOnline(batch, report?.prediction, skipped.length, course));
      for (const each of skipped) course.onSkipped?.(each);
      if (!report || !adapts) continue;
      steps++;
      milliseconds += report.runMs;
      if (!report.accepted) refused++;
      const askSource = async (): Promise<RunTensor> =>
        (await trainer.predict(batch.images, { weights: "source" })).prediction;
      if (await guard?.hasCollapsed(report.prediction, askSource)) {
        await run.reset();
        guard?.reset();
        collapses++;
      }
      const record = { domain: domain.name, step: steps, loss: report.loss, accepted: report.accepted };
      const exportModel = () => exportAdapted(run, trainer);
      await course.onStep?.(record, { adaptSeconds: milliseconds / 1000, exportModel });
      done += batch.labels.length;
      course.onProgress?.({ stage: "adapt", done, total: epochs * size, note: domain.name });
    }
  }
  const cacheHits = trainer.cache.hits - hitsBefore;
  return { online, adaptSeconds: milliseconds / 1000, steps, refused, collapses, cacheHits };
}

async function* streamOf(all: AsyncIterable<Batch>, course: Course): AsyncGenerator<StreamBatch> {
  for await (const batch of all) if (batch.labels.length > 0) yield streamBatch(batch, course);
}

/** Labels are for methods that declare them. */
function streamBatch({ images, labels, indices }: Batch, { method }: Course): StreamBatch {
  const targets =
    method.labels === "required"
      ? { dtype: "int64" as const, dims: [labels.length], data: BigInt64Array.from(labels, BigInt) }
      : undefined;
  return { images, targets, indices };
}

/**
 * A last batch may be too small: for the variance of a channel, or for a model that fixes its batch. It is then left out, with the
 * reason, and does not end the course.
 */
async function stepUnlessLeftOver(
  run: MethodRun,
  batch: Batch,
  course: Course,
  seen: number,
): Promise<StepReport | LimberError> {
  try {
    const comesAgain = (run.plan.train?.epochs ?? 1) > 1;
    return await run.step(streamBatch(batch, course), comesAgain ? Array.from(batch.indices) : undefined);
  } catch (error) {
    const isRest = batch.labels.length < course.batchSize && (course.proven || seen > 0);
    if (isRest && isLimberError(error, "shape.mismatch")) return error;
    throw error;
  }
}

function skip(domain: Domain, { indices }: Batch, { message }: LimberError): Skipped[] {
  const reason = `a last batch of ${indices.length}: ${message}`;
  return Array.from(indices, (index) => ({ domain: domain.name, index, path: domain.pathOf(index), reason }));
}

function countOnline(
  { labels }: Batch,
  prediction: StepReport["prediction"] | undefined,
  skipped: number,
  { unlabelled }: Course,
): Tally {
  if (!prediction) return { ...EMPTY_TALLY, skipped };
  return unlabelled ? { total: labels.length, correct: 0, skipped } : tallyBatch(prediction, labels, skipped);
}
