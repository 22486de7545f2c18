import { adaptEach, findMethod, type Method } from "../../adapt/index.js";
import { LimberError } from "../../base/index.js";
import { adaptDomains, type ElasticOptions, MasterVersions, peakStepBytes, weightBytes } from "../../elastic/index.js";
import { foldBoosts, type Model, openMaster, statisticsOf } from "../../graph/index.js";
import { compressed } from "./compressed.js";
import {
  adaptationBytes,
  adaptOptions,
  type Contestant,
  type CourseOptions,
  type Entry,
  imageDims,
  settingsOf,
} from "./course.js";
import { Measures } from "./measures.js";
import type { Networks } from "./networks.js";
import type { Kind } from "./rows.js";

const RATES: readonly number[] = [1e-4, 3e-4, 1e-3];

/** Variants of ElasticDNN by name: which filters stay, which ones train, what flows back. */
export const ABLATIONS = {
  "filters-random": { options: () => ({ relevance: "random" }), isShort: true },
  "filters-inverse": { options: () => ({ inverse: true }), isShort: true },
  "filters-source": { options: ({ source }) => ({ probe: source }), isShort: true },
  "train-random": { options: () => ({ strategy: "random" }), isShort: true },
  "train-inverse": { options: () => ({ strategy: "inverse" }), isShort: true },
  "train-all": { options: () => ({ strategy: "all" }), isShort: true },
  "no-feedback": { options: () => ({ alpha: 0 }), isShort: false },
  replace: { options: () => ({ alpha: 1 }), isShort: false },
} as const satisfies Record<
  string,
  { readonly options: (course: CourseOptions) => Partial<ElasticOptions>; readonly isShort: boolean }
>;
export type Ablation = keyof typeof ABLATIONS;
export const ABLATION_NAMES = Object.keys(ABLATIONS) as Ablation[];

export interface Entries {
  /** Names of methods; ElasticDNN adapts with the first. */
  readonly methods: readonly string[];
  readonly ablations: readonly Ablation[];
  /** Learning rates to choose from. Default: 1e-4, 3e-4, 1e-3. */
  readonly rates?: readonly number[] | undefined;
}

/** Everyone who takes part. Throws: `config.invalid` for an unknown method, or one that needs labels. */
export function listContestants({ methods, ablations, rates = RATES }: Entries): Contestant[] {
  const found = methods.map(findMethod);
  const [first] = found;
  const labelled = found.find(({ labels }) => labels === "required");
  if (!first || labelled) {
    const got = labelled ? `"${labelled.name}", which trains on labels` : "none";
    throw new LimberError("config.invalid", `methods: one or more that need no labels, got ${got}; choose others`);
  }
  const frozen = findMethod("source");
  const entry = (name: string, kind: Kind, method: Method): Entry => ({ name, kind, method, rates });
  return [
    plain(entry("source", "source", frozen), "large"),
    elastic(entry("elastic", "elastic", first), {}),
    elastic(entry("elastic, guarded", "guarded", first), {
      settingOf: "elastic",
      // without statistics there is no judge
      fallback: ({ large }) => (statisticsOf(large).length > 0 ? large : undefined),
    }),
    plain(entry("small, frozen", "frozen", frozen), "small"),
    ...found.flatMap((method) => [
      plain(entry(`small, ${method.name}`, "same-size", method), "small"),
      plain(entry(`large, ${method.name}`, "large", method), "large"),
    ]),
    compressed(entry(`large, ${first.name}, cut`, "compressed", first)),
    ...ablations.map((name) => elastic(entry(name, "ablation", first), { ...ABLATIONS[name], settingOf: "elastic" })),
  ];
}

interface Variant {
  readonly options?: (course: CourseOptions) => Partial<ElasticOptions>;
  readonly fallback?: (networks: Networks) => Model | undefined;
  readonly isShort?: boolean;
  readonly settingOf?: string;
}

/** ElasticDNN with a method. */
const elastic = (entry: Entry, { options: variant = () => ({}), fallback, ...rest }: Variant): Contestant => ({
  ...{ name: entry.name, kind: entry.kind, method: entry.method.name, ...rest },
  settings: settingsOf(entry, [{ trains: "norm" }, { trains: "features" }]),
  async *run(networks, stays, course) {
    await using measures = new Measures(course);
    const { master } = networks;
    const { method } = entry;
    const { sparsity } = course;
    const options = {
      ...adaptOptions(method, course, measures.onStep),
      sparsity,
      ...variant(course),
      fallback: fallback?.(networks),
    };
    const kept = weightBytes(master.graph) + (options.fallback ? weightBytes(options.fallback.graph) : 0);
    const arriving = stays.map((stay) => stay.arriving);
    let peakBytes: number | undefined; // the same in all stays
    const results = adaptDomains(new MasterVersions(master), arriving, options);
    for await (const [stay, domain, wallSeconds] of measures.follow(stays, results)) {
      const { probeMs, cutMs, checkMs, surrogate } = domain.generated;
      peakBytes ??= Math.max(
        peakStepBytes(openMaster(master, sparsity), { statistics: "fixed" }, imageDims(course)),
        kept + adaptationBytes(surrogate.model, course, { method, ...domain }),
      );
      yield {
        ...(await measures.resultOf(stay, domain.model, domain.report, wallSeconds)),
        beforeAccuracy: await measures.accuracyOf(foldBoosts(surrogate.model), stay.test),
        generationSeconds:
          (probeMs + cutMs + checkMs + domain.sensitivityMs + (domain.serving?.milliseconds ?? 0)) / 1000,
        peakBytes,
      };
    }
  },
});

/** A method on one network. */
const plain = (entry: Entry, network: "large" | "small"): Contestant => ({
  ...{ name: entry.name, kind: entry.kind, method: entry.method.name },
  settings: settingsOf(entry, [{ continual: false }, { continual: true }]),
  async *run(networks, stays, course) {
    await using measures = new Measures(course);
    const start = networks[network];
    const options = {
      ...adaptOptions(entry.method, course, measures.onStep),
      continual: course.setting.continual,
    };
    const peakBytes = adaptationBytes(start, course, options);
    const results = adaptEach(
      start,
      stays.map(({ arriving }) => arriving),
      options,
    );
    for await (const [stay, { report, model }, wallSeconds] of measures.follow(stays, results))
      yield {
        ...(await measures.resultOf(stay, model, report, wallSeconds)),
        ...{ beforeAccuracy: null, generationSeconds: 0, peakBytes },
      };
  },
});
