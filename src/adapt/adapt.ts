import { LimberError, Random, throwIfAborted } from "../base/index.js";
import { type Model, prepareModel } from "../graph/index.js";
import { createMachine, Predictor, rentTrainer, tuneStep } from "../run/node.js";
import { channelsOf, type Domain, type Skipped } from "../vision/index.js";
import { exportAdapted, runCourse } from "./course.js";
import { evaluate } from "./evaluate.js";
import { type MethodPlan, planMethod } from "./method.js";
import { MethodRun } from "./method-run.js";
import { EMPTY_TALLY, type Tally } from "./metrics.js";
import type { AdaptOptions, DomainReport } from "./options.js";
import { endlessBatches, measureImportance, sourceImages } from "./source-images.js";
import { checkTask, isClassifier } from "./task.js";

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
  const { method, methodOptions, scope } = options;
  let plan = planMethod(method, model, batchSize, methodOptions, { scope });
  checkTask(method, plan, model);
  const images = method.source && sourceImages(method, options, batchSize);
  const unlabelled = options.unlabelled || !isClassifier(model);
  const given = options.trainers?.machine ?? options.machine;
  await using own = given ? undefined : createMachine(options);
  const machine = (given ?? own)!;
  const hasImportance = images !== undefined && plan.wantsImportance !== undefined;
  if (hasImportance) {
    const importance = await measureImportance(model, plan, machine, { ...options, images, batchSize });
    plan = planMethod(method, model, batchSize, methodOptions, { scope, importance });
  }
  const { height, width } = options.preprocessing;
  const imageDims = [batchSize, channelsOf(options.preprocessing), height, width];
  const { choose } = await tuneStep(model, options.tune ?? {}, { ...plan, ...options, machine, imageDims });
  // Importance is numbers of this very model, in the step as constants.
  const kept = hasImportance ? undefined : options.trainers;
  const settings = { ...plan, ...options, choose };
  await using lease = await rentTrainer(kept, keyOf(options, plan), model, { ...settings, machine });
  const { trainer } = lease;
  await using before =
    options.withoutEvaluation || unlabelled ? undefined : await Predictor.create(machine, model, options);
  const createRun = (): MethodRun => {
    const random = new Random(options.seed ?? 0).fork("method");
    const source = images && endlessBatches(images, { ...options, batchSize, random: random.fork("source") });
    return new MethodRun(plan, trainer, { random, source, model, preprocessing: options.preprocessing });
  };
  let run = createRun();
  let index = 0;
  let proven = false;
  for (const domain of domains) {
    throwIfAborted(options.signal);
    const told = new Set<number>();
    const onSkipped = (skipped: Skipped): void => {
      if (!told.has(skipped.index)) options.onSkipped?.(skipped);
      told.add(skipped.index);
    };
    if (options.continual) run.beginDomain();
    else {
      await trainer.reset();
      run = createRun();
    }
    const random = new Random(options.seed ?? 0).fork(`${index++}:${domain.name}`);
    const { indices, held } = splitLabelled(domain, options, random);
    const course = await runCourse(run, trainer, domain, {
      ...{ ...options, unlabelled, onSkipped, batchSize, indices, random, proven },
    });
    proven ||= course.online.total > 0;
    const adapted = await exportAdapted(run, trainer);
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

/** What makes the step of a plan, up to the model: equal for equal steps. */
const keyOf = ({ method, methodOptions }: AdaptOptions, { statistics, observe, train }: MethodPlan): string =>
  JSON.stringify([method.name, methodOptions, statistics, observe, train?.parameters, [...(train?.rows ?? [])]]);

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
