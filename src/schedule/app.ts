/**
 * One size that an app can run at, with what it costs alone on the device. ElasticDNN: the filters kept at a sparsity. PatchLine: a number
 * of patches. A ladder of levels goes from the smallest to the largest.
 */
export interface Level {
  /** For people: `sparsity 0.75`, `2 patches`. */
  readonly name: string;
  /** Share of the filters left out, in [0, 1); where levels are surrogates. */
  readonly sparsity?: number | undefined;
  /** Filters kept, or patches that train. */
  readonly size: number;
  /** One prediction. Units: milliseconds, alone on the device. */
  readonly inferMs: number;
  /** One training step. */
  readonly stepMs: number;
  /** Making the model of this level: choosing filters, cutting, loading. */
  readonly makeMs: number;
  /** Most memory that serving and training take at once. */
  readonly memoryBytes: number;
}

/** Without a filter or patch a level is what making it gave: steps change nothing. */
export const isTrainable = (size: number): boolean => size > 0;

/** Expected score in [0, 1] of an app once it runs at a level and has trained there for so many further steps; steps 0: as made. */
export type ScoreEstimate = (level: number, steps: number) => number;

/** An app, as the planner sees it at one time. */
export interface AppState {
  readonly name: string;
  /** Factor on its score in what is maximised. Default of those who make it: 1. */
  readonly weight: number;
  /** Predictions asked of it in the window. */
  readonly frames: number;
  /** The longest that one prediction may take at the app's share. Units: milliseconds. */
  readonly deadlineMs?: number | undefined;
  /** From the smallest to the largest. */
  readonly levels: readonly Level[];
  /** Which one serves now; nothing: none of use, so that each has to be paid for. */
  readonly level?: number | undefined;
  /** Score of what serves where it is none of the levels as they would be made now. Default 0. */
  readonly present?: number | undefined;
  readonly estimate: ScoreEstimate;
  /** Steps that the planner grants at a time. */
  readonly quantum: number;
  /** Steps beyond which more are of no use, or nothing is known. */
  readonly maxSteps: number;
  /** Scores seen at the ends of earlier windows, without labels, the latest last. What RECL goes by. */
  readonly history: readonly number[];
  /** What was seen in trials of this window, where the planner asked for them. What Ekya goes by. */
  readonly trials?: readonly Trial[] | undefined;
}

/** A short training to see what it brings; its steps are paid for out of the window, and its model is thrown away. */
export interface TrialRequest {
  readonly app: string;
  readonly level: number;
  readonly steps: number;
}
export interface Trial extends TrialRequest {
  /** Scores without labels: before the first step, and at the end. */
  readonly before: number;
  readonly after: number;
}
