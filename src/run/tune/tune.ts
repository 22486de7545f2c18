import { availableParallelism } from "node:os";
import { type LongCall, sizeOf } from "../../base/index.js";
import {
  buildStep,
  type Choose,
  type Decision,
  describeDecision,
  inferShapes,
  macsOf,
  type Model,
  type StepOptions,
} from "../../graph/index.js";
import { lowerFor } from "../blocks.js";
import type { Machine, SessionOptions } from "../session.js";
import { addMeasurements, findCacheFolder, findMachineKey, type Measurement, readMeasurements } from "./cache.js";
import { timeCandidates } from "./measure.js";

/**
 * How formulations are chosen. `off`: by built-in rules, the same on every machine. `quick`: what takes most of a step is
 * measured within seconds. `full`: everything is measured, with more rounds.
 */
export const TUNE_MODES = ["off", "quick", "full"] as const;
export type TuneMode = (typeof TUNE_MODES)[number];

const PLANS = {
  quick: { rounds: 5, leastShare: 0.02, budgetMs: 10_000 },
  full: { rounds: 15, leastShare: 0, budgetMs: Infinity },
} as const;

/** Of the time of the built-in choice: another one has to stay below, so that noise changes nothing. */
const WORTH_IT = 0.93;

/** Moving one value costs about as much as this many multiply-accumulates. */
const MACS_PER_VALUE = 40;

export interface TuneOptions extends StepOptions, SessionOptions, LongCall {
  readonly machine: Machine;
  /** Of the batch that the step is for. */
  readonly imageDims: readonly number[];
}

export interface TuneSettings {
  /** Default "off". */
  readonly mode?: TuneMode | undefined;
  /** Where measurements are kept; default: the user's cache folder. */
  readonly folder?: string | undefined;
  /** Told what was found, unless the mode is "off". */
  readonly onTuned?: ((tuning: Tuning) => void) | undefined;
}

/** What tuning found: pass `choose` on to a `Trainer`. */
export interface Tuning {
  readonly choose: Choose;
  /** Different parts of convolutions in the step; how many of them were known, and how many were measured now. */
  readonly decisions: { readonly total: number; readonly known: number; readonly measured: number };
  /** Where another formulation than that of the built-in rules was chosen. */
  readonly changes: readonly Change[];
  /** False when measurements could not be kept for the next time. */
  readonly saved: boolean;
  readonly seconds: number;
}

/** Units: milliseconds, each run alone. */
export interface Change {
  readonly decision: string;
  readonly from: string;
  readonly to: string;
  readonly fromMs: number;
  readonly toMs: number;
}

interface Site {
  readonly decision: Decision;
  readonly count: number;
}

const UNTUNED: Tuning = {
  choose: () => undefined,
  decisions: { total: 0, known: 0, measured: 0 },
  changes: [],
  saved: true,
  seconds: 0,
};

/**
 * Measures on this machine which formulation of each convolution of a training step is the fastest.
 *
 * Measurements are kept per machine, so that the next call finds them. A choice changes the order of additions and so the
 * last digits of results: the same choices give the same bytes, others do not.
 * Throws: what `buildStep` throws; `aborted`, keeping what was measured until then; `run.failed`.
 */
export async function tuneStep(
  model: Model,
  { mode = "off", folder = findCacheFolder(), onTuned }: TuneSettings,
  options: TuneOptions,
): Promise<Tuning> {
  if (mode === "off") return UNTUNED;
  const start = performance.now();
  const { machine, imageDims, threads = Math.max(1, Math.floor(availableParallelism() / 2)) } = options;
  const { signal, onProgress, optimization } = options;
  const { rounds, leastShare, budgetMs } = PLANS[mode];
  const key = findMachineKey(machine.provider, threads);
  const image = model.graph.inputs.find((v) => !model.graph.initializers.has(v.name))!.name;
  const sites = findSites(inferShapes(model, { inputDims: { [image]: imageDims } }), options);
  const known = await readMeasurements(folder, key);
  const total = sum([...sites.values()].map(workOf));
  const open = [...sites]
    .filter(([name]) => (known.get(name)?.rounds ?? 0) < (mode === "full" ? rounds : 1))
    .filter(([, site]) => workOf(site) >= leastShare * total)
    .sort(([, a], [, b]) => workOf(b) - workOf(a));
  const session = { threads, optimization };
  const lower = (alone: Model): Promise<Model> => lowerFor(machine, alone);
  const added = new Map<string, Measurement>();
  let saved = true;
  try {
    for (const [name, { decision }] of open) {
      if (performance.now() - start > budgetMs) break;
      onProgress?.({ stage: "tune", done: added.size, total: open.length, note: name });
      const times = await timeCandidates(machine, decision, { rounds, session, signal, lower });
      added.set(name, { times: Object.fromEntries(times), rounds });
    }
  } finally {
    if (added.size > 0) saved = await addMeasurements(folder, key, added);
  }
  const measurements = new Map([...known, ...added]);
  const tuning: Tuning = {
    choose: chooseBy(measurements, imageDims[0]!),
    decisions: {
      total: sites.size,
      known: [...sites.keys()].filter((name) => known.has(name) && !added.has(name)).length,
      measured: added.size,
    },
    changes: [...sites].flatMap(([name, { decision }]) => changeOf(name, decision, measurements.get(name))),
    saved,
    seconds: (performance.now() - start) / 1000,
  };
  onTuned?.(tuning);
  return tuning;
}

/** Every different decision of a step and how often it has to be taken. */
function findSites(model: Model, options: StepOptions): Map<string, Site> {
  const sites = new Map<string, Site>();
  const choose: Choose = (decision) => {
    const name = describeDecision(decision);
    if (decision.candidates.length > 1 && decision.layer.X.dtype === "float32")
      sites.set(name, { decision, count: (sites.get(name)?.count ?? 0) + 1 });
    return undefined;
  };
  buildStep(model, { ...options, choose });
  return sites;
}

function workOf({ decision, count }: Site): number {
  const { X, W, geometry } = decision.layer;
  const values = sizeOf(X.dims) + sizeOf(W.dims) + X.dims[0]! * W.dims[0]! * sizeOf(geometry.output);
  return count * (macsOf(decision) + MACS_PER_VALUE * values);
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** Chooses what was fastest at a batch; smaller batches of the same run follow it. */
function chooseBy(measurements: ReadonlyMap<string, Measurement>, batch: number): Choose {
  return (decision) => {
    const { X } = decision.layer;
    const measured = { ...decision, layer: { ...decision.layer, X: { ...X, dims: X.dims.with(0, batch) } } };
    return fastest(decision, measurements.get(describeDecision(measured)))?.to;
  };
}

/** A candidate that is worth leaving the built-in rule for. */
function fastest(
  { candidates, preferred }: Decision,
  measurement: Measurement | undefined,
): Omit<Change, "decision"> | undefined {
  const fromMs = measurement?.times[preferred];
  if (measurement === undefined || fromMs === undefined) return undefined;
  const times = candidates.map((to) => ({ from: preferred, fromMs, to, toMs: measurement.times[to] ?? Infinity }));
  const best = times.reduce((a, b) => (b.toMs < a.toMs ? b : a));
  return best.toMs < WORTH_IT * fromMs ? best : undefined;
}

function changeOf(name: string, decision: Decision, measurement: Measurement | undefined): Change[] {
  const change = fastest(decision, measurement);
  return change ? [{ decision: name, ...change }] : [];
}
