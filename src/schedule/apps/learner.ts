import type { Model } from "../../graph/index.js";
import type { RunTensor } from "../../run/node.js";
import type { Level } from "../app.js";

/** What one training step sees. */
export interface Lesson {
  /** Shapes: [N, C, H, W]. */
  readonly images: RunTensor;
  /** What the loss compares with; of methods that need labels. */
  readonly targets?: RunTensor | undefined;
}

/** A size that a learner comes in; what it costs is measured. */
export type LevelSize = Pick<Level, "name" | "sparsity" | "size">;

/**
 * The half of an app that learns: it makes models of several sizes for the pictures that come, and trains the last one. What serves is
 * somebody else's. One call at a time.
 */
export interface Learner extends AsyncDisposable {
  /** From the smallest to the largest. */
  readonly sizes: readonly LevelSize[];
  /** Makes the model of a size for these pictures; what the one before learnt is kept first. */
  make(level: number, images: RunTensor): Promise<void>;
  /** Throws: `config.invalid` before `make`. */
  step(lesson: Lesson): Promise<void>;
  /** As it stands, to serve. */
  exportModel(): Promise<Model>;
  /** As made for the same pictures, before any step: of the size beside the present one, the larger where there is one. */
  makeNeighbour(): Promise<Model>;
  /** Most that weights, activations and gradients of a step take at once. Units: bytes. */
  stepBytes(batchSize: number): number;
}

/** The level beside: the next larger one, for the largest the next smaller. */
export const neighbourOf = (level: number, levels: number): number =>
  Math.max(0, level + 1 < levels ? level + 1 : level - 1);
