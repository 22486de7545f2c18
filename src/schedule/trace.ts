import type { TaskName } from "../vision/index.js";
import type { Level } from "./app.js";

/** What a model tells of a set of pictures without their labels, at one level after some steps. */
export interface Signals {
  /** Mean largest probability, or its like for the task: 1 - mean uncertainty where the task has no classes. In [0, 1]. */
  readonly confidence: number;
  /** Mean normalised entropy (`TaskHead.uncertainty`). In [0, 1]. */
  readonly entropy: number;
  /** Entropy of the mean prediction, divided by ln C; 1 where the task has no classes. */
  readonly marginalEntropy: number;
  /** Average thresholded confidence: share of pictures above the threshold that fits the source at this level. In [0, 1]. */
  readonly atc: number;
  /** Distance of features from those of the source, ≥ 0. */
  readonly distance: number;
  /** Share of pictures (or mean overlap) on which this and the neighbouring level agree. In [0, 1]. */
  readonly agreement: number;
}

/** How one app fared in one drift at one level: measured by a real run. */
export interface TraceCurve {
  readonly level: number;
  /** Steps after which it was measured, the first 0. */
  readonly steps: readonly number[];
  /** True scores on pictures that did not train. */
  readonly scores: readonly number[];
  /** What the model told, without labels, at the same times. */
  readonly signals: readonly Signals[];
}

export interface TraceDrift {
  readonly name: string;
  /** Made from the source's own pictures, to fit estimators on; the others are only for judging them. */
  readonly isValidation: boolean;
  readonly curves: readonly TraceCurve[];
}

/** One kind of app, as recorded on a machine: what the simulator replays. */
export interface Trace {
  readonly version: 1;
  readonly kind: string;
  readonly task: TaskName;
  readonly metric: string;
  /** Command that records it. */
  readonly command: string;
  readonly machine: string;
  /** Score on the source without any drift, by level. */
  readonly sourceScores: readonly number[];
  /** What the levels tell of source pictures without any drift, as their references keep it. */
  readonly sourceSignals: readonly Signals[];
  /** Measured, from the smallest to the largest. */
  readonly levels: readonly Level[];
  readonly drifts: readonly TraceDrift[];
}
