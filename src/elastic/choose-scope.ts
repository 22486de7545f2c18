import { type Method, planMethod, type Scope } from "../adapt/index.js";
import { Random } from "../base/index.js";
import type { Loss, Surrogate, SurrogateCutter } from "../graph/index.js";
import type { KeptTrainers, Machine, RunTensor, SessionOptions } from "../run/node.js";
import { measureSensitivity, pickFilters, scopeOf, type Strategy } from "./sensitivity.js";

/** The options of the method; where it can choose what trains, all that the scope leaves it does, unless they say otherwise. */
export function trainFeatures(method: Method, methodOptions: unknown): unknown {
  const wider = { trains: "features", ...(methodOptions as object | undefined) };
  return method.options.safeParse(wider).success ? wider : methodOptions;
}

export interface ScopeOptions extends SessionOptions {
  readonly machine: Machine;
  readonly trainers?: KeptTrainers | undefined;
  readonly cutter: SurrogateCutter;
  readonly method: Method;
  readonly methodOptions?: unknown;
  readonly batchSize?: number | undefined;
  /** Share of the filters that train. Default 0.2. */
  readonly trainShare?: number | undefined;
  /** Which ones. Default `sensitive`. */
  readonly strategy?: Strategy | undefined;
  /** Of the loss whose gradients judge filters; default: entropy. */
  readonly loss?: Loss | undefined;
  readonly seed?: number | undefined;
  /** Sets apart what is drawn at random for one set of images from what is drawn for another. */
  readonly name: string;
}

/** A surrogate whose first filters of each group are the ones to train. */
export interface ChosenScope {
  readonly surrogate: Surrogate;
  readonly scope: Scope;
  readonly trainedFilters: number;
  readonly sensitivityMs: number;
}

/**
 * Which filters train, if the method trains at all, and the surrogate with those in front: so the step of one domain is, but for numbers, that
 * of the next.
 */
export async function chooseScope(
  surrogate: Surrogate,
  images: RunTensor,
  { trainShare = 0.2, strategy = "sensitive", seed = 0, cutter, name, ...options }: ScopeOptions,
): Promise<ChosenScope> {
  const started = performance.now();
  const { model, filters } = surrogate;
  const { method, methodOptions, batchSize = 32 } = options;
  if (!planMethod(method, model, batchSize, methodOptions).train)
    return { surrogate, scope: {}, trainedFilters: 0, sensitivityMs: 0 };
  const isMeasured = strategy === "sensitive" || strategy === "inverse";
  const scores = isMeasured
    ? await measureSensitivity(model, filters, images, options)
    : Object.fromEntries(filters.map(({ group, size }) => [group, Array<number>(size).fill(0)]));
  const random = new Random(seed).fork(name);
  const chosen = pickFilters(scores, { share: trainShare, strategy, random });
  const inFront = filters.map(({ group, size }) => {
    const trains = new Set(chosen[group]);
    return [group, [...trains, ...[...Array(size).keys()].filter((unit) => !trains.has(unit))]] as const;
  });
  const ordered = cutter.reorder(surrogate, Object.fromEntries(inFront));
  const leading = Object.fromEntries(Object.entries(chosen).map(([group, units]) => [group, [...units.keys()]]));
  return {
    surrogate: ordered,
    scope: scopeOf(ordered.model, ordered.filters, leading),
    trainedFilters: Object.values(chosen).reduce((sum, units) => sum + units.length, 0),
    sensitivityMs: performance.now() - started,
  };
}
