import { LimberError } from "../base/index.js";
import { adaptEach, type AdaptOptions, type DomainReport, type Scope } from "../adapt/index.js";
import {
  costOf,
  foldBoosts,
  inferShapes,
  type Model,
  type Surrogate,
  SurrogateCutter,
  writeModel,
} from "../graph/index.js";
import { createMachine, KeptTrainers } from "../run/node.js";
import { batches, channelsOf, type Domain, type Preprocessing } from "../vision/index.js";
import { chooseServing, type Serving } from "./choose-serving.js";
import { chooseScope, trainFeatures } from "./choose-scope.js";
import { type Generated, type GenerateOptions, generateSurrogate } from "./generate.js";
import type { Strategy } from "./sensitivity.js";
import type { MasterVersions } from "./versions.js";

type GenerationOptions = Pick<GenerateOptions, "sparsity" | "relevance" | "representative" | "inverse" | "loss">;

export interface ElasticOptions extends Omit<AdaptOptions, "continual">, GenerationOptions {
  /** Share of the filters that train. Default 0.2. */
  readonly trainShare?: number | undefined;
  /** Which ones. Default `sensitive`. */
  readonly strategy?: Strategy | undefined;
  /** How much of what a surrogate learnt goes into the master. Default 0.2; 0 leaves the master as it is. */
  readonly alpha?: number | undefined;
  /** Filters that the last surrogate had too go on from where they stood there. Default: all start from the master. */
  readonly reuse?: boolean | undefined;
  /** Images that a surrogate is made for. Default: one batch. */
  readonly probeImages?: number | undefined;
  /** Whose first images choose the filters. Default: the domain itself; any other is an ablation. */
  readonly probe?: Domain | undefined;
  /** What serves a domain instead where it seems better than the surrogate, such as the source model: see `chooseServing`. */
  readonly fallback?: Model | undefined;
  /** Images that tell. Default 128. */
  readonly judgedImages?: number | undefined;
}

/** What came of one domain. */
export interface ElasticDomain {
  /** Accuracy of the surrogate before (`source`), while (`online`) and after it was adapted; the time of its steps alone. */
  readonly report: DomainReport;
  readonly generated: Generated;
  /** Finding out which filters are to train. Units: milliseconds. */
  readonly sensitivityMs: number;
  /** What serves: the surrogate as adapted, boosts folded, or the fallback. */
  readonly model: Model;
  /** How it was chosen, where there is a fallback. Units: milliseconds. */
  readonly serving: (Serving & { readonly milliseconds: number }) | undefined;
  /** Of one image through `model`. */
  readonly macs: number;
  readonly sizeBytes: number;
  /** Share of its filters that the last surrogate had too; nothing for the first. */
  readonly overlap: number | undefined;
  /** Filters that trained, and all of them. */
  readonly trainedFilters: number;
  readonly filters: number;
  /** What trained, and the options that the method was given for it. */
  readonly scope: Scope;
  readonly methodOptions: unknown;
}

/**
 * ElasticDNN on a sequence of domains, for one application: for each, a surrogate is cut for its first images, its most sensitive filters
 * are trained by a method as its images come, and what they learnt flows back into the master, from which the next one is cut.
 *
 * Source: ElasticDNN, TC 2024; the loop of its authors' code. Ending the iteration early frees everything.
 * Throws: as `generateSurrogate` and `adapt`.
 */
export async function* adaptDomains(
  versions: MasterVersions,
  domains: Iterable<Domain>,
  options: ElasticOptions,
): AsyncGenerator<ElasticDomain, void, undefined> {
  await using own = options.trainers || options.machine ? undefined : createMachine(options);
  const machine = (options.trainers?.machine ?? options.machine ?? own)!;
  await using passing = options.trainers ? undefined : new KeptTrainers(machine);
  const running = { ...options, machine, trainers: (options.trainers ?? passing)! };
  const cutter = new SurrogateCutter(versions.current);
  let last: { readonly surrogate: Surrogate; readonly trained: Model } | undefined;
  for (const domain of domains) {
    const images = await readProbe(domain, options);
    const reused = options.reuse === true ? last : undefined;
    const asked = options.probe ? await readProbe(options.probe, options) : images;
    const generated = await generateSurrogate(versions.current, cutter, asked, { ...running, last: reused });
    const methodOptions = trainFeatures(options.method, options.methodOptions);
    const chosen = await chooseScope(generated.surrogate, images, {
      ...running,
      methodOptions,
      cutter,
      name: domain.name,
    });
    const { surrogate, scope, trainedFilters, sensitivityMs } = chosen;
    const course = { ...running, methodOptions, continual: false, scope };
    for await (const { report, model: trained } of adaptEach(surrogate.model, [domain], course)) {
      versions.feed(surrogate, trained, options.alpha ?? 0.2);
      const adapted = foldBoosts(trained);
      const serving = options.fallback && (await chooseFor(domain, adapted, options.fallback, running));
      const model = serving?.served === "fallback" ? options.fallback! : adapted;
      const filters = surrogate.filters.reduce((sum, { size }) => sum + size, 0);
      yield {
        ...{ report, generated: { ...generated, surrogate }, sensitivityMs, model, serving, trainedFilters, filters },
        ...{ scope, methodOptions },
        ...costsOf(model, options.preprocessing),
        overlap: last && overlapOf(surrogate, last.surrogate),
      };
      last = { surrogate, trained };
    }
  }
}

async function chooseFor(
  domain: Domain,
  adapted: Model,
  fallback: Model,
  { batchSize = 32, judgedImages = 128, ...running }: ElasticOptions & { readonly trainers: KeptTrainers },
): Promise<Serving & { readonly milliseconds: number }> {
  const started = performance.now();
  const serving = await chooseServing(adapted, fallback, domain, { ...running, batchSize, images: judgedImages });
  return { ...serving, milliseconds: performance.now() - started };
}

/** The first images of a domain. Throws: `data.invalid` where none can be read. */
async function readProbe(
  domain: Domain,
  { preprocessing, batchSize = 32, probeImages = batchSize, signal }: ElasticOptions,
) {
  for await (const batch of batches(domain, { preprocessing, batchSize: probeImages, signal }))
    if (batch.labels.length > 0) return batch.images;
  const message = `domain "${domain.name}": an image that can be read, got none; check the folder`;
  throw new LimberError("data.invalid", message, { domain: domain.name });
}

/** What a model costs: multiplications for one image, and bytes as a file. */
export function costsOf(model: Model, preprocessing: Preprocessing): { macs: number; sizeBytes: number } {
  const { height, width } = preprocessing;
  const inputDims = { [model.graph.inputs[0]!.name]: [1, channelsOf(preprocessing), height, width] };
  const isOpen = typeof model.graph.inputs[0]!.dims?.[0] !== "number";
  const { macs } = costOf(inferShapes(model, isOpen ? { inputDims } : {}));
  return { macs, sizeBytes: writeModel(model).length };
}

function overlapOf(now: Surrogate, before: Surrogate): number {
  const groups = Object.entries(now.choice.kept);
  const shared = groups.map(([group, units]) => {
    const old = new Set(before.choice.kept[group]);
    return units.filter((unit) => old.has(unit)).length;
  });
  const all = groups.reduce((sum, [, units]) => sum + units.length, 0);
  return shared.reduce((a, b) => a + b, 0) / all;
}
