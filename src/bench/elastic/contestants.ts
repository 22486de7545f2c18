import {
  accuracyOf,
  adaptEach,
  type AdaptOptions,
  type DomainReport,
  evaluate,
  findMethod,
  type Method,
} from "../../adapt/index.js";
import { invariant, LimberError, type LongCall } from "../../base/index.js";
import { adaptDomains, type ElasticOptions, MasterVersions } from "../../elastic/index.js";
import { costOf, foldBoosts, inferShapes, type Model } from "../../graph/index.js";
import { createMachine, type Machine, type MachineOptions, Predictor, type SessionOptions } from "../../run/node.js";
import { channelsOf, type Domain, type Preprocessing } from "../../vision/index.js";
import type { Networks } from "./networks.js";
import type { ElasticRow, Kind } from "./rows.js";
import type { Stay } from "./sequence.js";

/** What is chosen on validation shifts. */
export interface Setting {
  readonly learningRate?: number;
  /** Go on from stay to stay, rather than start each from the network as it was trained. */
  readonly continual?: boolean;
}

export interface CourseOptions extends LongCall, SessionOptions, MachineOptions {
  readonly preprocessing: Preprocessing;
  readonly batchSize: number;
  readonly sparsity: number;
  readonly seed: number;
  /** Labelled images of the source, for methods and ablations that use some. */
  readonly source: Domain;
  readonly setting: Setting;
}

/** A row without what is known before the course. */
export type StayResult = Omit<ElasticRow, "contestant" | "kind" | "method" | "seed" | "position" | "domain" | "round">;

/** Takes a sequence of stays on its own: what the others do changes nothing. */
export interface Contestant {
  readonly name: string;
  readonly kind: Kind;
  readonly method: string;
  /** What to choose from on validation shifts; of one, nothing is chosen. */
  readonly settings: readonly Setting[];
  /** The contestant whose setting it takes over, being a variant of it. */
  readonly settingOf?: string;
  /** Stays in the first round alone: what it shows needs no recurrence. */
  readonly isShort?: boolean;
  run(networks: Networks, stays: readonly Stay[], options: CourseOptions): AsyncGenerator<StayResult, void, undefined>;
}

const RATES: readonly number[] = [3e-4, 1e-3, 3e-3];

/** Settings that a method knows; nothing to choose where it has no learning rate. */
function settingsOf(method: Method, rates: readonly number[], modes: readonly Setting[]): readonly Setting[] {
  const known = rates.filter((learningRate) => method.options.safeParse({ learningRate }).success);
  return known.length === 0 ? [{}] : modes.flatMap((mode) => known.map((learningRate) => ({ learningRate, ...mode })));
}

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
  /** Learning rates to choose from. Default: 3e-4, 1e-3, 3e-3. */
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
    plain(entry("small, frozen", "frozen", frozen), "small"),
    ...found.flatMap((method) => [
      plain(entry(`small, ${method.name}`, "same-size", method), "small"),
      plain(entry(`large, ${method.name}`, "large", method), "large"),
    ]),
    ...ablations.map((name) => elastic(entry(name, "ablation", first), { ...ABLATIONS[name], settingOf: "elastic" })),
  ];
}

interface Entry {
  readonly name: string;
  readonly kind: Kind;
  readonly method: Method;
  readonly rates: readonly number[];
}

interface Variant {
  readonly options?: (course: CourseOptions) => Partial<ElasticOptions>;
  readonly isShort?: boolean;
  readonly settingOf?: string;
}

/** ElasticDNN with a method. */
const elastic = (
  { name, kind, method, rates }: Entry,
  { options: variant = () => ({}), ...rest }: Variant,
): Contestant => ({
  ...{ name, kind, method: method.name, ...rest },
  settings: settingsOf(method, rates, [{}]),
  async *run({ master }, stays, course) {
    await using measures = new Measures(course);
    const options = { ...adaptOptions(method, course), sparsity: course.sparsity, ...variant(course) };
    const arriving = stays.map((stay) => stay.arriving);
    for await (const [stay, { report, generated, sensitivityMs, model }, wallSeconds] of paired(
      stays,
      adaptDomains(new MasterVersions(master), arriving, options),
    )) {
      const { probeMs, cutMs, checkMs, surrogate } = generated;
      yield {
        ...(await measures.resultOf(stay, model, report, wallSeconds)),
        beforeAccuracy: await measures.accuracyOf(foldBoosts(surrogate.model), stay.test),
        generationSeconds: (probeMs + cutMs + checkMs + sensitivityMs) / 1000,
      };
    }
  },
});

/** A method on one network. */
const plain = ({ name, kind, method, rates }: Entry, network: "large" | "small"): Contestant => ({
  ...{ name, kind, method: method.name },
  settings: settingsOf(method, rates, [{ continual: false }, { continual: true }]),
  async *run(networks, stays, course) {
    await using measures = new Measures(course);
    const options = { ...adaptOptions(method, course), continual: course.setting.continual };
    const arriving = stays.map((stay) => stay.arriving);
    for await (const [stay, { report, model }, wallSeconds] of paired(
      stays,
      adaptEach(networks[network], arriving, options),
    ))
      yield {
        ...(await measures.resultOf(stay, model, report, wallSeconds)),
        ...{ beforeAccuracy: null, generationSeconds: 0 },
      };
  },
});

function adaptOptions(method: Method, course: CourseOptions): AdaptOptions {
  const { preprocessing, batchSize, seed, threads, provider, signal, setting, source } = course;
  const { learningRate } = setting;
  return {
    ...{ method, preprocessing, batchSize, seed, threads, provider, signal, withoutEvaluation: true },
    ...{ methodOptions: learningRate === undefined ? {} : { learningRate }, source: { domain: source } },
  };
}

/** Each stay with what came of it, and how long that took. Units: seconds. */
async function* paired<T>(
  stays: readonly Stay[],
  results: AsyncGenerator<T, void, undefined>,
): AsyncGenerator<readonly [Stay, T, number], void, undefined> {
  try {
    for (const stay of stays) {
      const started = performance.now();
      const { value } = await results.next();
      invariant(value !== undefined, "a course gives as many results as it was given domains");
      yield [stay, value, (performance.now() - started) / 1000];
    }
  } finally {
    await results.return();
  }
}

/** Measures models, in a worker of its own. */
class Measures {
  private readonly machine: Machine;

  constructor(private readonly course: CourseOptions) {
    this.machine = createMachine(course);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
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
    { online, adaptSeconds, steps, refused, collapses }: DomainReport,
    wallSeconds: number,
  ): Promise<Omit<StayResult, "beforeAccuracy" | "generationSeconds">> {
    return {
      ...{ images: arriving.samples, testImages: test.samples, adaptSeconds, steps, refused, collapses, wallSeconds },
      onlineAccuracy: accuracyOf(online),
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
