import type { Tensor } from "../../base/index.js";
import type { Loss, Model } from "../../graph/index.js";
import type { RunTensor } from "../../run/node.js";
import type { Batch } from "../data/batches.js";
import type { Truth } from "../data/truth.js";
import { UNLABELLED } from "../data/types.js";

export const TASKS = ["classification", "detection", "segmentation"] as const;
export type TaskName = (typeof TASKS)[number];

/** What images of a batch show, in the frame of the model's input. */
export type BatchTruth = Pick<Batch, "labels" | "truths">;

/** What images show besides a class of their own. */
export const unclassed = (truths: readonly Truth[]): BatchTruth => ({
  labels: new Int32Array(truths.length).fill(UNLABELLED),
  truths,
});

/** How good predictions are over all samples seen so far. */
export interface Score {
  /** In [0, 1], larger is better: accuracy, mAP@0.5 or mIoU. */
  readonly value: number;
  readonly samples: number;
  /** Further figures by their names: `mAP` over ten thresholds, `IoU car`. */
  readonly details: Readonly<Record<string, number>>;
}

/** Compares predictions with the truth, batch by batch. */
export interface Meter {
  add(output: Tensor, truth: BatchTruth): void;
  read(): Score;
}

/** All that a task knows of one model. `Found` is what it makes of one image's output. */
export interface TaskHead<Found> {
  /** Shapes: prediction [N, K, …]; its targets are those of `encode`. */
  readonly loss: Loss;
  /** What `loss` compares the output with, for as many images. Throws: `data.invalid` where they are not labelled. */
  encode(truth: BatchTruth): RunTensor;
  /** What images show as far as an output can be believed, where there is no truth; in the frame of the model's input. */
  pseudoLabels(output: Tensor): BatchTruth;
  decode(output: Tensor): readonly Found[];
  /** How unsure the model is of each image: normalised entropy in [0, 1]. Shapes: [N, K, …] → [N]. Source: PatchLine, sample selection. */
  uncertainty(output: Tensor): Float64Array;
  createMeter(): Meter;
}

/** What a model is for: how its outputs are read, trained and measured. A folder each; a new task adds one. */
export interface Task<Found = unknown> {
  readonly name: TaskName;
  /** What `Score.value` is. */
  readonly metric: string;
  /** Whether every pixel is answered, which lives on its surroundings. */
  readonly isDense: boolean;
  /** Opens the head of a model for images of a size. Throws: `method.unsuitable` when its outputs are not of this task. */
  open(model: Model, image: { readonly width: number; readonly height: number }): TaskHead<Found>;
}
