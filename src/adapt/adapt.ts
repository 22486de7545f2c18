import { LimberError, type LongCall, Random, throwIfAborted } from "../base/index.js";
import { type Model, prepareModel } from "../graph/index.js";
import { createMachine, Predictor, type SessionOptions, Trainer } from "../run/node.js";
import { batches, type Batch, type Domain, type Preprocessing, type Skipped } from "../vision/index.js";
import { evaluate } from "./evaluate.js";
import { type Method, type MethodPlan, planMethod } from "./method.js";
import { addTallies, EMPTY_TALLY, type Tally, tallyBatch } from "./metrics.js";

export interface AdaptOptions extends LongCall, SessionOptions {
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
  readonly onStep?: ((step: StepRecord) => void) | undefined;
  /** Called once for each sample of a domain that could not be read. */
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
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
  /** Predictions made before adapting on that batch. */
  readonly online: Tally;
  /** The adapted model as it would be exported, on the samples that no label was taken from. */
  readonly after: Tally;
  /** Wall time of the adaptation steps alone. Units: seconds. */
  readonly adaptSeconds: number;
  readonly steps: number;
  /** Steps refused because a loss or gradient was not finite. */
  readonly refused: number;
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
  await using machine = createMachine();
  const trainer = Trainer.create(model, { ...plan, ...options, machine });
  const before = options.withoutEvaluation ? undefined : await Predictor.create(machine, model, options);
  let index = 0;
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
    const course = await runCourse(trainer, domain, { ...options, onSkipped, plan, batchSize, indices, random });
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
}

type CourseReport = Pick<DomainReport, "online" | "adaptSeconds" | "steps" | "refused">;

/** The steps of one domain: one pass for online methods, as many as planned for those with labels. */
async function runCourse(trainer: Trainer, domain: Domain, course: Course): Promise<CourseReport> {
  const { plan, indices, random } = course;
  const epochs = plan.train?.epochs ?? 1;
  const adapts = plan.train !== undefined || plan.statistics !== "fixed";
  const size = indices?.length ?? domain.samples;
  let [online, milliseconds, steps, refused, seen, done] = [EMPTY_TALLY, 0, 0, 0, 0, 0];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = indices && (epoch === 0 ? indices : random.shuffled(indices));
    for await (const batch of batches(domain, { ...course, indices: order })) {
      const report = batch.labels.length > 0 ? await step(trainer, batch, course, seen++) : undefined;
      if (epoch === 0) online = addTallies(online, countOnline(batch, report?.prediction));
      for (const skipped of batch.skipped) course.onSkipped?.(skipped);
      if (!report || !adapts) continue;
      steps++;
      milliseconds += report.runMs;
      if (!report.accepted) refused++;
      course.onStep?.({ domain: domain.name, step: steps, loss: report.loss, accepted: report.accepted });
      done += batch.labels.length;
      course.onProgress?.({ stage: "adapt", done, total: epochs * size, note: domain.name });
    }
  }
  return { online, adaptSeconds: milliseconds / 1000, steps, refused };
}

type Report = Awaited<ReturnType<Trainer["step"]>>;

async function step(trainer: Trainer, batch: Batch, { plan }: Course, seen: number): Promise<Report> {
  const labels = BigInt64Array.from(batch.labels, BigInt);
  const targets =
    plan.train?.loss.targets === "labels"
      ? { dtype: "int64" as const, dims: [labels.length], data: labels }
      : undefined;
  // The statistics of an adapted model are the mean over the steps of this domain.
  const settings = { statisticsMomentum: 1 / (seen + 1), ...(plan.train && { learningRate: plan.train.learningRate }) };
  return trainer.step({ images: batch.images, ...(targets && { targets }) }, settings);
}

function countOnline(batch: Batch, prediction: Report["prediction"] | undefined): Tally {
  const skipped = batch.skipped.length;
  return prediction ? tallyBatch(prediction, batch.labels, skipped) : { ...EMPTY_TALLY, skipped };
}
