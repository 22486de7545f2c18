import type { SessionOptions } from "../../run/node.js";
import type { Domain } from "../../vision/index.js";
import type { RecordedApp, RecordedDrift } from "../record/record-trace.js";

/** How a camera looks. */
export interface Camera {
  /** Frames of a second, and pictures of a frame: what it gives at a time, or several cameras on one model. */
  readonly fps: number;
  readonly pictures: number;
  /** Different pictures of each drift. */
  readonly images: number;
}

/** How a kind is recorded. */
export interface Recording {
  /** Steps after which it is measured, the first 0. */
  readonly steps: readonly number[];
  /** Pictures to learn from, and to measure on, of each drift. */
  readonly pool: number;
  readonly held: number;
}

/** Which pictures of a drift. Another seed gives others. */
export interface PictureChoice {
  /** Those that cameras show, or labelled ones that apps learn from: no picture is both. */
  readonly use: "frames" | "lessons";
  readonly seed: number;
  /** At most. */
  readonly count: number;
}

export interface OpenKindOptions extends Pick<SessionOptions, "threads"> {
  /** Of an ElasticDNN app. Default: those that are recorded. */
  readonly sparsities?: readonly number[] | undefined;
}

/** One kind of app: a model that learns in one way, the source that it knows, and the drifts that it meets. */
export interface AppKind {
  /** Its trace is `<name>.json`. */
  readonly name: string;
  /** Name of its surroundings before any drift. */
  readonly source: string;
  /** What cameras may show. */
  readonly drifts: readonly string[];
  readonly camera: Camera;
  /** Of a training step. */
  readonly batchSize: number;
  readonly recording: Recording;
  open(options?: OpenKindOptions): Promise<RecordedApp>;
  /** Pictures of the source that did not train its model, and that no camera shows; at most so many. */
  sourcePictures(count: number): Domain;
  /** The source is a drift, too. */
  pictures(drift: string, choice: PictureChoice): Domain;
  /** What a trace of it tells: validation drifts, made of `sourcePictures`, and those of cameras. At most so many pictures of each. */
  recordedDrifts(count: number): readonly RecordedDrift[];
}

/** Kinds whose scores can be compared: they are of one world. */
export interface KindSet {
  readonly world: string;
  readonly kinds: readonly AppKind[];
}
