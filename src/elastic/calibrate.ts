import { type LongCall, throwIfAborted } from "../base/index.js";
import { evaluateTask } from "../adapt/index.js";
import {
  attachStatistics,
  fixSparsity,
  type LevelStatistics,
  type Model,
  selectStatistics,
  statisticsOf,
} from "../graph/index.js";
import { type Machine, Predictor, type SessionOptions, Trainer } from "../run/node.js";
import { batches, type Domain, type Preprocessing, type TaskHead, taskOf } from "../vision/index.js";

export interface LevelOptions extends LongCall, SessionOptions {
  readonly machine: Machine;
  readonly preprocessing: Preprocessing;
  readonly batchSize: number;
  /** The sparsities. */
  readonly levels: readonly number[];
}

/**
 * Stores statistics of normalization for each sparsity: the mean over `count` batches of the data, run at that sparsity.
 * A model without such statistics stays as it is.
 */
export async function calibrateLevels(
  master: Model,
  data: Domain,
  count: number,
  options: LevelOptions,
): Promise<Model> {
  const names = statisticsOf(master);
  if (names.length === 0) return master;
  const found: LevelStatistics[] = [];
  for (const sparsity of options.levels) {
    await using trainer = Trainer.create(fixSparsity(selectStatistics(master, sparsity), sparsity), {
      ...options,
      statistics: { sourceWeight: 0, variance: "unbiased" },
    });
    const indices = Array.from({ length: Math.min(data.samples, count * options.batchSize) }, (_, i) => i);
    let seen = 0;
    for await (const batch of batches(data, { ...options, indices })) {
      throwIfAborted(options.signal);
      if (batch.labels.length === options.batchSize)
        await trainer.step({ images: batch.images }, { statisticsMomentum: 1 / ++seen, answers: false });
    }
    const { graph } = await trainer.exportModel();
    found.push({ sparsity, statistics: new Map(names.map((name) => [name, graph.initializers.get(name)!])) });
  }
  return attachStatistics(master, found);
}

/** How good a master is at a sparsity. */
export interface CurvePoint {
  readonly sparsity: number;
  /** In [0, 1]; of detectors and segmenters their task's score. */
  readonly accuracy: number;
}

export interface CurveOptions extends LevelOptions {
  /** Default: that of the master's task. */
  readonly head?: TaskHead<unknown> | undefined;
}

/** The score of a master on labelled data at each sparsity, every image through gates of its own. */
export async function measureCurve(master: Model, data: Domain, options: CurveOptions): Promise<CurvePoint[]> {
  const head = options.head ?? taskOf(master).open(fixSparsity(selectStatistics(master, 0), 0), options.preprocessing);
  const curve: CurvePoint[] = [];
  for (const sparsity of options.levels) {
    const model = fixSparsity(selectStatistics(master, sparsity), sparsity);
    const predictor = await Predictor.create(options.machine, model, options);
    const { value } = await evaluateTask(predictor, head, data, { ...options, onProgress: undefined });
    await predictor.dispose();
    curve.push({ sparsity, accuracy: value });
  }
  return curve;
}
