import {
  accuracyOf,
  adaptEach,
  type AdaptOptions,
  argmaxRows,
  evaluate,
  type StepRecord,
  type Tally,
} from "../adapt/index.js";
import { invariant, type LongCall, throwIfAborted } from "../base/index.js";
import { adaptDomains, type ElasticDomain, MasterVersions } from "../elastic/index.js";
import { foldBoosts, type Model } from "../graph/index.js";
import { createMachine, type MachineOptions, Predictor, type SessionOptions } from "../run/node.js";
import { batches, type Domain, encodeImage, type Image, type Preprocessing } from "../vision/index.js";
import { CONTENDERS, type DemoPlan, type PlannedVisit, SPARSITY } from "./plan.js";

/** The figures of one visit; keys and order are those of results.csv and of `--json`. Units: shares in [0, 1]; seconds. */
export interface VisitRow {
  readonly visit: number;
  readonly name: string;
  readonly returning: boolean;
  readonly images: number;
  readonly source: number;
  /** With the statistics of each batch as it comes. */
  readonly bn: number;
  /** Tent, predicting each batch before adapting to it. */
  readonly tentOnline: number;
  /** The model that Tent left, on the same images again. */
  readonly tentAfter: number;
  readonly patched: number;
  /** Labels that this visit cost. */
  readonly labels: number;
  readonly tentSeconds: number;
  readonly patchSeconds: number;
  /** Steps refused because something was not finite. */
  readonly refused: number;
  /** ElasticDNN's small model as it was cut for the visit, and as SHOT-IM left it, without labels. */
  readonly elasticBefore: number;
  readonly elastic: number;
  /** Choosing its filters, cutting and checking it; its steps. */
  readonly elasticMadeSeconds: number;
  readonly elasticSeconds: number;
  /** Multiplications for an image, and bytes as a file. */
  readonly elasticMacs: number;
  readonly elasticBytes: number;
}

/** One of the first pictures of a visit and what each model makes of it; -1 is no class. */
export interface Picture {
  readonly png: Uint8Array;
  readonly label: number;
  readonly source: number;
  readonly tent: number;
  readonly patched: number;
  readonly elastic: number;
}

export interface Visit {
  readonly row: VisitRow;
  readonly summary: string;
  readonly pictures: readonly Picture[];
  /** The models as they are after the visit. */
  readonly models: { readonly tent: Model; readonly patched: Model; readonly elastic: Model };
}

/** A decision or figure worth a line in the journal. */
export type OnEvent = (event: string, fields: Readonly<Record<string, unknown>>) => void;

export interface VisitOptions extends LongCall, SessionOptions, MachineOptions {
  readonly preprocessing: Preprocessing;
  readonly seed: number;
  readonly onEvent: OnEvent;
  /** Pictures kept of each visit. Default 8. */
  readonly pictures?: number | undefined;
}

const BATCH_SIZE = 32;
/** Steps between two lines of the journal. */
const STEPS_PER_EVENT = 4;

/**
 * Meets the domains of a plan one after another. In each, batch statistics and Tent start from the source model; a patch is
 * learned at the first visit of a domain, and put back, as it was, whenever the domain returns; a small model is cut from the master,
 * adapted, and gives back to the master what it has learnt.
 * Throws: as `adapt`.
 */
export async function* meetDomains(
  source: Model,
  master: Model,
  plan: DemoPlan,
  options: VisitOptions,
): AsyncGenerator<Visit> {
  await using machine = createMachine(options);
  const bench = new Bench(options);
  const frozen = await Predictor.create(machine, source, options);
  const streams = plan.visits.map(({ stream }) => stream);
  const bn = adaptEach(source, streams, bench.optionsOf("bn"));
  const tent = adaptEach(source, streams, bench.optionsOf("tent"));
  const lessons = adaptEach(source, plan.lessons, { ...bench.optionsOf("patch"), labelled: plan.labelled });
  const versions = new MasterVersions(master);
  const elastic = adaptDomains(versions, streams, { ...bench.optionsOf("elastic"), machine, sparsity: SPARSITY });
  const patches = new Map<string, Model>();
  try {
    for (const [index, visit] of plan.visits.entries()) {
      throwIfAborted(options.signal);
      const { name, stream, returning } = visit;
      bench.enter(index, visit);
      const sourceTally = await bench.measure("source", frozen, stream);
      const { report: bnReport } = await next(bn);
      bench.record("bn", bnReport.online);
      const { report: tentReport, model: tentModel } = await next(tent);
      bench.record("tentOnline", tentReport.online);
      const small = await next(elastic);
      let [labels, patchSeconds, patchRefused] = [0, 0, 0];
      if (!returning) {
        const { report, model } = await next(lessons);
        [labels, patchSeconds, patchRefused] = [plan.labelled, report.adaptSeconds, report.refused];
        patches.set(name, model);
      }
      options.onEvent(returning ? "patch-restored" : "patch-learned", { visit: index + 1, domain: name, labels });
      const patchedModel = patches.get(name)!;
      const adapted = await Predictor.create(machine, tentModel, options);
      const patched = await Predictor.create(machine, patchedModel, options);
      const fresh = await Predictor.create(machine, foldBoosts(small.generated.surrogate.model), options);
      const grown = await Predictor.create(machine, small.model, options);
      const tentAfter = await bench.measure("tentAfter", adapted, stream);
      const elasticBefore = await bench.measure("elasticBefore", fresh, stream);
      const elasticAfter = await bench.measure("elastic", grown, stream);
      const patchedTally = await bench.measure("patched", patched, stream);
      const pictures = await bench.show(stream, { source: frozen, tent: adapted, patched, elastic: grown });
      for (const each of [adapted, patched, fresh, grown]) await each.dispose();
      yield {
        row: {
          ...{ visit: index + 1, name, returning, images: stream.samples },
          ...{ source: accuracyOf(sourceTally), bn: accuracyOf(bnReport.online) },
          ...{ tentOnline: accuracyOf(tentReport.online), tentAfter: accuracyOf(tentAfter) },
          ...{ patched: accuracyOf(patchedTally), labels, tentSeconds: tentReport.adaptSeconds, patchSeconds },
          refused: bnReport.refused + tentReport.refused + patchRefused + small.report.refused,
          ...{ elasticBefore: accuracyOf(elasticBefore), elastic: accuracyOf(elasticAfter) },
          ...{ elasticMadeSeconds: madeSecondsOf(small), elasticSeconds: small.report.adaptSeconds },
          ...{ elasticMacs: small.macs, elasticBytes: small.sizeBytes },
        },
        summary: visit.summary,
        pictures,
        models: { tent: tentModel, patched: patchedModel, elastic: small.model },
      };
    }
  } finally {
    for (const each of [bn, tent, elastic, lessons]) await each.return();
  }
}

const madeSecondsOf = ({ generated: { probeMs, cutMs, checkMs }, sensitivityMs }: ElasticDomain): number =>
  (probeMs + cutMs + checkMs + sensitivityMs) / 1000;

async function next<T>(each: AsyncGenerator<T, void, undefined>): Promise<T> {
  const { value } = await each.next();
  invariant(value !== undefined, "a method adapts to as many domains as it was given");
  return value;
}

/** Runs and measures the models of a demo, and tells the journal. */
class Bench {
  private visit = 0;
  private name = "";

  constructor(private readonly options: VisitOptions) {}

  enter(index: number, { name, returning }: PlannedVisit): void {
    this.visit = index + 1;
    this.name = name;
    this.options.onEvent("visit", { visit: this.visit, domain: name, returning });
  }

  record(what: string, { correct, total }: Tally): void {
    this.options.onEvent("measured", { visit: this.visit, domain: this.name, what, correct, total });
  }

  /** How a contender adapts; what it brings is measured here, so that all count the same images. */
  optionsOf(key: keyof typeof CONTENDERS): AdaptOptions {
    const { preprocessing, seed, signal, threads, provider, onProgress, onEvent } = this.options;
    const onStep = ({ step, loss, accepted }: StepRecord): void => {
      if (step % STEPS_PER_EVENT !== 1 && accepted) return;
      onEvent("step", { visit: this.visit, domain: this.name, method: key, step, loss, accepted });
    };
    return {
      ...{ ...CONTENDERS[key], preprocessing, seed, signal, threads, provider, onStep, batchSize: BATCH_SIZE },
      withoutEvaluation: true,
      onProgress: (progress) => onProgress?.({ ...progress, stage: key }),
    };
  }

  async measure(what: string, predictor: Predictor, domain: Domain): Promise<Tally> {
    const { preprocessing, signal } = this.options;
    const tally = await evaluate(predictor, domain, { batchSize: BATCH_SIZE, preprocessing, signal });
    this.record(what, tally);
    return tally;
  }

  /** The first pictures of a domain, whatever they show, with the answers of the models. */
  async show(
    domain: Domain,
    predictors: Readonly<Record<"source" | "tent" | "patched" | "elastic", Predictor>>,
  ): Promise<Picture[]> {
    const { preprocessing, pictures = 8 } = this.options;
    const indices = Array.from({ length: Math.min(pictures, domain.samples) }, (_, i) => i);
    for await (const { images } of batches(domain, { batchSize: indices.length, preprocessing, indices })) {
      const answersOf = async (predictor: Predictor) => argmaxRows((await predictor.predict(images)).output);
      const [source, tent, patched, elastic] = [
        await answersOf(predictors.source),
        await answersOf(predictors.tent),
        await answersOf(predictors.patched),
        await answersOf(predictors.elastic),
      ];
      const draw = async (index: number): Promise<Picture> => {
        const reading = await domain.read(index);
        invariant("image" in reading, "scenes of the embedded world can be read");
        const png = await encodeImage(reading.image as Image);
        const answers = { source: source[index]!, tent: tent[index]!, patched: patched[index]! };
        return { png, label: domain.label(index), ...answers, elastic: elastic[index]! };
      };
      return Promise.all(indices.map(draw));
    }
    return [];
  }
}
