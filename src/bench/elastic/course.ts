import { type AdaptOptions, type Method, planMethod, type Scope } from "../../adapt/index.js";
import type { LongCall } from "../../base/index.js";
import { peakStepBytes } from "../../elastic/index.js";
import type { Model } from "../../graph/index.js";
import type { MachineOptions, SessionOptions } from "../../run/node.js";
import { channelsOf, type Domain, type Preprocessing } from "../../vision/index.js";
import type { Networks } from "./networks.js";
import type { ElasticRow, Kind, Setting } from "./rows.js";
import type { Stay } from "./sequence.js";

export interface CourseOptions extends LongCall, SessionOptions, MachineOptions {
  readonly preprocessing: Preprocessing;
  readonly batchSize: number;
  readonly sparsity: number;
  readonly seed: number;
  /** Labelled images of the source, for methods and ablations that use some. */
  readonly source: Domain;
  readonly setting: Setting;
  /** Measures accuracy after every so many steps; default: after the last. */
  readonly curve?: number | undefined;
}

/** A row without what is known before the course. */
export type StayResult = Omit<
  ElasticRow,
  "run" | "contestant" | "kind" | "method" | "setting" | "seed" | "position" | "domain" | "round"
>;

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

/** What contestants of every kind are made from. */
export interface Entry {
  readonly name: string;
  readonly kind: Kind;
  readonly method: Method;
  /** Learning rates to choose from. */
  readonly rates: readonly number[];
}

/** Settings that a method knows; nothing to choose where it has no learning rate. */
export function settingsOf({ method, rates }: Entry, modes: readonly Setting[]): readonly Setting[] {
  const knows = (options: object): boolean => method.options.safeParse(options).success;
  const known = rates.filter((learningRate) => knows({ learningRate }));
  const open = modes.filter(({ trains }) => trains === undefined || knows({ trains }));
  return known.length === 0 ? [{}] : open.flatMap((mode) => known.map((learningRate) => ({ learningRate, ...mode })));
}

export function adaptOptions(
  method: Method,
  course: CourseOptions,
  onStep?: AdaptOptions["onStep"],
): AdaptOptions & { readonly methodOptions: object } {
  const { preprocessing, batchSize, seed, threads, provider, signal, setting, source } = course;
  const { learningRate, trains } = setting;
  const methodOptions = { ...(learningRate === undefined ? {} : { learningRate }), ...(trains ? { trains } : {}) };
  return {
    ...{ method, preprocessing, batchSize, seed, threads, provider, signal, onStep, withoutEvaluation: true },
    ...{ methodOptions, source: { domain: source } },
  };
}

/** What the steps of a method on a model take at once. Shapes: those of a full batch. Throws: as `planMethod`. */
export function adaptationBytes(
  model: Model,
  { batchSize, ...course }: CourseOptions,
  { method, methodOptions, scope }: { method: Method; methodOptions: unknown; scope?: Scope | undefined },
): number {
  return peakStepBytes(
    model,
    planMethod(method, model, batchSize, methodOptions, { scope }),
    imageDims({ batchSize, ...course }),
  );
}

export const imageDims = ({
  batchSize,
  preprocessing,
}: Pick<CourseOptions, "batchSize" | "preprocessing">): number[] => [
  ...[batchSize, channelsOf(preprocessing), preprocessing.height, preprocessing.width],
];
