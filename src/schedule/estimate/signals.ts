import { LimberError, type Tensor } from "../../base/index.js";
import { shareAbove, thresholdOfShare } from "../../drift/index.js";
import type { TaskName } from "../../vision/index.js";
import type { Signals } from "../trace.js";
import { agreementOf, readOutput, type Reading, type SignalHead } from "./reading.js";

/** What one level answers on some pictures. */
export interface LevelOutput {
  /** Of all pictures together. Shapes: as the task's head takes them, [N, …]. */
  readonly output: Tensor;
  /** What is compared with the source. Shapes: [N, d, …], further axes are averaged over. Default: the output. */
  readonly features?: Tensor | undefined;
  /** Of the neighbouring level for the same pictures. Default: as far as they agree on the source. */
  readonly neighbour?: Tensor | undefined;
}

export interface SourceLevelOutput extends LevelOutput {
  /** True score of the level on these pictures. */
  readonly score: number;
}

/** Of each feature over pictures. */
interface FeatureStatistics {
  readonly means: readonly number[];
  readonly deviations: readonly number[];
}

/** What is measured once on validation pictures of the source, at one level. Plain data. */
export interface LevelReference extends FeatureStatistics {
  readonly score: number;
  /** Things that a picture has: 1 for classes of pictures, places of a map, boxes expected. */
  readonly thingsPerPicture: number;
  /** Certainty above which as many things lie as are right: of `score` of them all. Nothing: none is right. */
  readonly threshold: number | undefined;
  /** What the level tells of these pictures themselves. */
  readonly signals: Signals;
}

export interface SourceReference {
  readonly version: 1;
  readonly task: TaskName;
  /** From the smallest to the largest. */
  readonly levels: readonly LevelReference[];
}

/**
 * Measures what signals are compared with, once, on validation pictures of the source: a hundred or more of them, the same ones at each
 * level. Throws: `data.invalid` where there are no pictures.
 */
export function measureReference(
  task: TaskName,
  head: SignalHead,
  levels: readonly SourceLevelOutput[],
): SourceReference {
  return { version: 1, task, levels: levels.map((each) => measureLevel(task, head, each)) };
}

function measureLevel(task: TaskName, head: SignalHead, level: SourceLevelOutput): LevelReference {
  const reading = readOutput(task, level.output, head);
  checkPictures(reading);
  const { certainties, confidences, pictures } = reading;
  const thingsPerPicture = reading.thingsPerPicture ?? confidences.reduce((a, b) => a + b, 0) / pictures;
  const threshold = thresholdOfShare(certainties, level.score, thingsPerPicture * pictures);
  const measured = {
    score: level.score,
    thingsPerPicture,
    threshold: Number.isFinite(threshold) ? threshold : undefined,
    ...statisticsOf(level.features ?? level.output),
  };
  return { ...measured, signals: signalsAgainst(measured, task, head, level, 1) };
}

/**
 * What a model tells of pictures without their labels. At the source it tells `atc` = the level's score, `distance` = 0.
 * Throws: `data.invalid` without pictures or with features of another width than the source's; `config.invalid` for a level without
 * a reference.
 */
export function signalsOf(seen: LevelOutput, head: SignalHead, reference: SourceReference, level: number): Signals {
  const own = reference.levels[level];
  if (own) return signalsAgainst(own, reference.task, head, seen, own.signals.agreement);
  const message = `signals: a level from 0 to ${reference.levels.length - 1}, got ${level}; measure its reference first`;
  throw new LimberError("config.invalid", message, { level });
}

function signalsAgainst(
  own: Omit<LevelReference, "signals">,
  task: TaskName,
  head: SignalHead,
  { output, features, neighbour }: LevelOutput,
  agreement: number,
): Signals {
  const reading = readOutput(task, output, head);
  checkPictures(reading);
  const things = own.thingsPerPicture * reading.pictures;
  const uncertainties = head.uncertainty(output);
  return {
    confidence: surest(reading.confidences, things),
    entropy: uncertainties.reduce((a, b) => a + b, 0) / uncertainties.length,
    marginalEntropy: normalisedEntropy(reading.classShares),
    atc: shareAbove(reading.certainties, own.threshold ?? Infinity, things),
    distance: distanceBetween(own, statisticsOf(features ?? output)),
    agreement: neighbour ? agreementOf(task, head, output, neighbour) : agreement,
  };
}

function checkPictures({ pictures }: Reading): void {
  if (pictures > 0) return;
  throw new LimberError("data.invalid", "signals: one picture at least, got none; observe pictures first");
}

/** Mean of the largest so many values; where there are fewer, the missing ones are 0. */
function surest(values: Float64Array, count: number): number {
  if (count === 0) return 0;
  if (values.length <= count) return values.reduce((a, b) => a + b, 0) / count;
  const sorted = Float64Array.from(values).sort().reverse();
  const whole = Math.floor(count);
  return (sorted.subarray(0, whole).reduce((a, b) => a + b, 0) + (count - whole) * sorted[whole]!) / count;
}

function normalisedEntropy(shares: readonly number[]): number {
  if (shares.length < 2) return 1;
  const entropy = shares.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
  return Math.min(1, entropy / Math.log(shares.length));
}

/** Mean and deviation of each feature over the pictures, after averaging over its places. Shapes: [N, d, …]. */
function statisticsOf({ dims, data }: Tensor): FeatureStatistics {
  const [pictures, width] = [dims[0]!, dims[1] ?? 1];
  const places = data.length / (pictures * width);
  const [sums, squares] = [new Float64Array(width), new Float64Array(width)];
  for (let row = 0; row < pictures * width; row++) {
    let value = 0;
    for (let at = row * places; at < (row + 1) * places; at++) value += Number(data[at]) / places;
    if (!Number.isFinite(value)) continue;
    sums[row % width]! += value / pictures;
    squares[row % width]! += (value * value) / pictures;
  }
  const deviations = Array.from(squares, (square, k) => Math.sqrt(Math.max(0, square - sums[k]! ** 2)));
  return { means: Array.from(sums), deviations };
}

/**
 * Fréchet distance of two normal distributions without correlations, in deviations of the source and by feature, so that neither the scale
 * nor the number of features matters: √mean(((μ - μ_s)² + (σ - σ_s)²) / σ_s²). Features that hardly vary count by the others' deviation.
 */
function distanceBetween(source: FeatureStatistics, target: FeatureStatistics): number {
  const width = source.means.length;
  if (target.means.length !== width) {
    const message = `signals: ${width} features as at the source, got ${target.means.length}; take them from a model that does not change`;
    throw new LimberError("data.invalid", message, { expected: width, got: target.means.length });
  }
  const variance = source.deviations.reduce((sum, deviation) => sum + deviation ** 2, 0) / width;
  const sum = source.means.reduce((total, mean, k) => {
    const moved = (target.means[k]! - mean) ** 2 + (target.deviations[k]! - source.deviations[k]!) ** 2;
    return total + moved / (source.deviations[k]! ** 2 + 0.01 * variance || 1);
  }, 0);
  return Math.sqrt(sum / width);
}
