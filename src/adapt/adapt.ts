import { isLimberError, LimberError, type LongCall, Random, throwIfAborted } from "../base/index.js";
import { type Model, prepareModel } from "../graph/index.js";
import {
  createMachine,
  type MachineOptions,
  Predictor,
  type SessionOptions,
  Trainer,
  type TuneSettings,
  tuneStep,
} from "../run/node.js";
import { batches, type Batch, channelsOf, type Domain, type Preprocessing, type Skipped } from "../vision/index.js";
import { evaluate } from "./evaluate.js";
import { type Method, type MethodPlan, planMethod } from "./method.js";
import { addTallies, EMPTY_TALLY, type Tally, tallyBatch } from "./metrics.js";
import { checkTask, isClassifier } from "./task.js";

export interface AdaptOptions extends LongCall, SessionOptions, MachineOptions {
  readonly method: Method;
  /** Options of the method, checked by its schema. */
  readonly methodOptions?: unknown;
  readonly preprocessing: Preprocessing;
  /** Images per step. Default 32. */
  readonly batchSize?: number | undefined;
  /** For methods that need labels: how many samples of a domain are labelled. Default 64. */
  readonly labelled?: number | undefined;
  readonly seed?: number | undefined;
  /** Go on from domain to domain instead of starting each from the source. */
  readonly continual?: boolean | undefined;
  /** Leave out the accuracies of the source and of the adapted model: only adapt. */
  readonly withoutEvaluation?: boolean | undefined;
  /** The samples have no labels: count them, and measure nothing. Always so for a model that is no classifier. */
  readonly unlabelled?: boolean | undefined;
  readonly onStep?: ((step: StepRecord) => void) | undefined;
  /** Called once for each sample of a domain that could not be read, or was left over when batches were made. */
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
  /** Whether to measure how convolutions are best computed on this machine; default: off. */
  readonly tune?: TuneSettings | undefined;
}

/** One adaptation step, for journals. */
export interface StepRecord {
  readonly domain: string;
  /** From 1 in each domain. */
  readonly step: number;
  readonly loss: number | undefined;
  readonly accepted: boolean;
}

/** What happened in one domain. */
export interface DomainReport {
  readonly name: string;
  /** The source model on the samples that `after` counts. */
  readonly source: Tally;
  /** Predictions made before adapting on that batch; none correct where nothing is labelled. */
  readonly online: Tally;
  /** The adapted model as it would be exported, on the samples that no label was taken from. */
  readonly after: Tally;
  /** Wall time of the adaptation steps alone. Units: seconds. */
  readonly adaptSeconds: number;
  readonly steps: number;
  /** Steps refused because a loss or gradient was not finite. */
  readonly refused: number;
  /** Samples for which what frozen layers make of them was known from an earlier epoch. */
  readonly cacheHits: number;
}

export interface AdaptResult {
  readonly domains: readonly DomainReport[];
  /** The model after the last domain. */
  readonly model: Model;
}

/** One domain that is done: what happened there, and the model as it left it. */
export interface AdaptedDomain {
  readonly report: DomainReport;
  readonly model: Model;
}

/**
 * Adapts a model to the domains of a stream, one after another, and reports what that brought.
 *
 * Throws: `method.unsuitable`, `config.invalid`, `gradient.missing`, `shape.mismatch`, `run.failed`, `aborted`.
 */
export async function adapt(source: Model, domains: Iterable<Domain>, options: AdaptOptions): Promise<AdaptResult> {
  const reports: DomainReport[] = [];
  let adapted = prepareModel(source);
  for await (const { report, model } of adaptEach(adapted, domains, options)) {
    reports.push(report);
    adapted = model;
  }
  return { domains: reports, model: adapted };
}

/**
 * The same domain by domain, whenever the caller asks for the next. Ending the iteration early frees everything.
 *
 * Throws: as `adapt`.
 */
export async function* adaptEach(
  source: Model,
  domains: Iterable<Domain>,
  options: AdaptOptions,
): AsyncGenerator<AdaptedDomain, void, undefined> {
  const model = prepareModel(source);
  const batchSize = options.batchSize ?? 32;
  const plan = planMethod(options.method, model, batchSize, options.methodOptions);
  checkTask(options.method, plan, model);
  const unlabelled = options.unlabelled || !isClassifier(model);
  await using machine = createMachine(options);
  const { height, width } = options.preprocessing;
  const imageDims = [batchSize, channelsOf(options.preprocessing), height, width];
  const { choose } = await tuneStep(model, options.tune ?? {}, { ...plan, ...options, machine, imageDims });
  const trainer = Trainer.create(model, { ...plan, ...options, machine, choose });
  const before = options.withoutEvaluation || unlabelled ? undefined : await Predictor.create(machine, model, options);
  let index = 0;
  let proven = false;
  for (const domain of domains) {
    throwIfAborted(options.signal);
    const told = new Set<number>();
    const onSkipped = (skipped: Skipped): void => {
      if (!told.has(skipped.index)) options.onSkipped?.(skipped);
      told.add(skipped.index);
    };
    if (!options.continual) await trainer.reset();
    const random = new Random(options.seed ?? 0).fork(`${index++}:${domain.name}`);
    const { indices, held } = splitLabelled(domain, options, random);
    const course = await runCourse(trainer, domain, {
      ...{ ...options, unlabelled, onSkipped, plan, batchSize, indices, random, proven },
    });
    proven ||= course.online.total > 0;
    const adapted = await trainer.exportModel();
    const reading = { ...options, onSkipped, batchSize, indices: held };
    const measure = async (what: Model | Predictor): Promise<Tally> => {
      const predictor = what instanceof Predictor ? what : await Predictor.create(machine, what, options);
      const tally = await evaluate(predictor, domain, reading);
      if (predictor !== what) await predictor.dispose();
      return tally;
    };
    const sourceTally = before ? await measure(before) : EMPTY_TALLY;
    const after = !before ? EMPTY_TALLY : adapted === model ? sourceTally : await measure(adapted);
    yield { report: { name: domain.name, source: sourceTally, after, ...course }, model: adapted };
  }
}

/** Samples to adapt on and samples to measure on. They differ only when labels are used. */
function splitLabelled(
  domain: Domain,
  options: AdaptOptions,
  random: Random,
): { indices: readonly number[] | undefined; held: readonly number[] | undefined } {
  if (options.method.labels === "none") return { indices: undefined, held: undefined };
  const count = options.labelled ?? 64;
  const most = options.withoutEvaluation ? domain.samples : domain.samples - 1;
  if (count < 1 || count > most) {
    const message = `domain "${domain.name}": 1 to ${most} labelled samples${most < domain.samples ? ", so that some are left to measure on" : ""}, got ${count}; label fewer`;
    throw new LimberError("config.invalid", message, { domain: domain.name, labelled: count });
  }
  const order = random.shuffled(Array.from({ length: domain.samples }, (_, i) => i));
  return { indices: order.slice(0, count), held: order.slice(count).sort((a, b) => a - b) };
}

interface Course extends AdaptOptions {
  readonly plan: MethodPlan;
  readonly batchSize: number;
  readonly indices: readonly number[] | undefined;
  readonly random: Random;
  /** Whether images of this kind have gone through the model before. */
  readonly proven: boolean;
}

type CourseReport = Pick<DomainReport, "online" | "adaptSeconds" | "steps" | "refused" | "cacheHits">;

/** The steps of one domain: one pass for online methods, as many as planned for those with labels. */
async function runCourse(trainer: Trainer, domain: Domain, course: Course): Promise<CourseReport> {
  const { plan, indices, random } = course;
  const epochs = plan.train?.epochs ?? 1;
  const adapts = plan.train !== undefined || plan.statistics !== "fixed";
  const size = indices?.length ?? domain.samples;
  const hitsBefore = trainer.cache.hits;
  trainer.forgetSamples(); // those of another domain
  let [online, milliseconds, steps, refused, seen, done] = [EMPTY_TALLY, 0, 0, 0, 0, 0];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = indices && (epoch === 0 ? indices : random.shuffled(indices));
    for await (const batch of batches(domain, { ...course, indices: order })) {
      const outcome = batch.labels.length > 0 ? await stepUnlessLeftOver(trainer, batch, course, seen) : undefined;
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
      course.onStep?.({ domain: domain.name, step: steps, loss: report.loss, accepted: report.accepted });
      done += batch.labels.length;
      course.onProgress?.({ stage: "adapt", done, total: epochs * size, note: domain.name });
    }
  }
  return { online, adaptSeconds: milliseconds / 1000, steps, refused, cacheHits: trainer.cache.hits - hitsBefore };
}

type Report = Awaited<ReturnType<Trainer["step"]>>;

/**
 * A last batch may be too small: for the variance of a channel, or for a model that fixes its batch. It is then left out, with the
 * reason, and does not end the course.
 */
async function stepUnlessLeftOver(
  trainer: Trainer,
  batch: Batch,
  course: Course,
  seen: number,
): Promise<Report | LimberError> {
  try {
    return await step(trainer, batch, course, seen);
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

async function step(trainer: Trainer, batch: Batch, { plan }: Course, seen: number): Promise<Report> {
  const labels = BigInt64Array.from(batch.labels, BigInt);
  const targets =
    plan.train?.loss.targets === "labels"
      ? { dtype: "int64" as const, dims: [labels.length], data: labels }
      : undefined;
  // The statistics of an adapted model are the mean over the steps of this domain.
  const settings = { statisticsMomentum: 1 / (seen + 1), ...(plan.train && { learningRate: plan.train.learningRate }) };
  const comesAgain = (plan.train?.epochs ?? 1) > 1;
  const samples = comesAgain ? Array.from(batch.indices) : undefined;
  return trainer.step({ images: batch.images, targets, samples }, settings);
}

function countOnline(
  { labels }: Batch,
  prediction: Report["prediction"] | undefined,
  skipped: number,
  { unlabelled }: Course,
): Tally {
  if (!prediction) return { ...EMPTY_TALLY, skipped };
  return unlabelled ? { total: labels.length, correct: 0, skipped } : tallyBatch(prediction, labels, skipped);
}
