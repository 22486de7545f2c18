import type { RunTensor } from "../run/node.js";
import type { TaskName } from "../vision/index.js";
import type { Level } from "./app.js";
import type { Signals } from "./trace.js";

/**
 * An app as the device runs it: a model that serves, and one that trains beside it. Predictions go to what serves, whatever trains;
 * `swap` makes what was trained serve. One call at a time for training; predictions at any time.
 */
export interface RunningApp extends AsyncDisposable {
  readonly name: string;
  readonly task: TaskName;
  /** What it can be, from the smallest to the largest; costs as profiled. */
  readonly levels: readonly Level[];
  readonly level: number | undefined;
  /** Steps at this level since it was made. */
  readonly steps: number;
  /** Pictures of the present surroundings, to learn from: kept by the app, the oldest ones forgotten. */
  observe(images: RunTensor): void;
  /** The surroundings changed: only so many of the newest pictures are of use. */
  forget(kept: number): void;
  /** Shapes: [N, C, H, W] to the task's output. */
  predict(images: RunTensor): Promise<RunTensor>;
  /** Makes the model of a level for the pictures seen last; it serves from the next `swap` on. What the one before learnt goes into the master first. */
  remodel(level: number): Promise<void>;
  /** One training step on pictures seen. */
  step(): Promise<void>;
  swap(): Promise<void>;
  /** What the model that serves tells of the pictures seen last, without labels; `agreement` as on the source where no neighbour is asked. */
  signals(): Promise<Signals>;
}
