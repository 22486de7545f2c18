import type { LongCall } from "../base/index.js";
import type { Model } from "../graph/index.js";
import type { KeptTrainers, Machine, MachineOptions, SessionOptions, TuneSettings } from "../run/node.js";
import type { Domain, Preprocessing, Skipped } from "../vision/index.js";
import type { Method, Scope } from "./method.js";
import type { Tally } from "./metrics.js";

export interface AdaptOptions extends LongCall, SessionOptions, MachineOptions {
  /** Where to run, if it is to outlive the call; default: a machine of its own, started and ended by the call. */
  readonly machine?: Machine | undefined;
  /** Where to take the trainer from, and where to run, for one who adapts many models of an architecture: compiled steps are kept. */
  readonly trainers?: KeptTrainers | undefined;
  readonly method: Method;
  /** Options of the method, checked by its schema. */
  readonly methodOptions?: unknown;
  readonly preprocessing: Preprocessing;
  /** Images per step. Default 32. */
  readonly batchSize?: number | undefined;
  /** Labelled images of where the model comes from, for methods that use some. */
  readonly source?: SourceImages | undefined;
  /** Narrows what the method trains. */
  readonly scope?: Scope | undefined;
  /** Leaves out the guard that starts again from the source when predictions have collapsed to few classes. */
  readonly withoutGuard?: boolean | undefined;
  /** For methods that need labels: how many samples of a domain are labelled. Default 64. */
  readonly labelled?: number | undefined;
  readonly seed?: number | undefined;
  /** Go on from domain to domain instead of starting each from the source. */
  readonly continual?: boolean | undefined;
  /** Leave out the accuracies of the source and of the adapted model: only adapt. */
  readonly withoutEvaluation?: boolean | undefined;
  /** The samples have no labels: count them, and measure nothing. Always so for a model that is no classifier. */
  readonly unlabelled?: boolean | undefined;
  /** Called after each step. A promise is waited for; that time is none of the adaptation's. */
  readonly onStep?: ((step: StepRecord, standing: Standing) => unknown) | undefined;
  /** Called once for each sample of a domain that could not be read, or was left over when batches were made. */
  readonly onSkipped?: ((skipped: Skipped) => void) | undefined;
  /** Whether to measure how convolutions are best computed on this machine; default: off. */
  readonly tune?: TuneSettings | undefined;
}

export interface SourceImages {
  readonly domain: Domain;
  /** How many of them; default: at most 2000, drawn by the seed. */
  readonly samples?: number | undefined;
}

/** One adaptation step, for journals. */
export interface StepRecord {
  readonly domain: string;
  /** From 1 in each domain. */
  readonly step: number;
  readonly loss: number | undefined;
  readonly accepted: boolean;
}

/** How far adaptation has come in a domain. */
export interface Standing {
  /** Of the steps so far. */
  readonly adaptSeconds: number;
  /** The model as adapted by them. */
  exportModel(): Promise<Model>;
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
  /** Times that the guard has started again from the source. */
  readonly collapses: number;
  /** Samples for which what frozen layers make of them was known from an earlier epoch. */
  readonly cacheHits: number;
}
