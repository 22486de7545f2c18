import type { Loss } from "../../../graph/index.js";
import type { TruthBox } from "../../data/truth.js";
import type { Size } from "../../preprocess/window.js";

export type FloatArray = Float32Array | Float64Array;

/** What a detector says of every place that it looks at. */
export interface Candidates {
  readonly count: number;
  /** Shapes: [P, 4] (left, top, right, bottom). Units: pixels; they may lie outside of the picture. */
  readonly corners: Float64Array;
  /** How likely each class is. Shapes: [K, P]. */
  readonly scores: Float64Array;
}

/** How a kind of detector lays boxes into its output, for pictures of one size. */
export interface BoxCoder {
  readonly loss: Loss;
  /** Of the output for one image, axis 1 of a batch first: boxes and classes. */
  readonly dims: readonly number[];
  /** Writes what `loss` compares the output of one image with, into zeros of that shape. */
  encode(boxes: readonly TruthBox[], into: Float32Array): void;
  /** Reads the output of one image. */
  decode(output: FloatArray): Candidates;
}

/** Makes the coder of a kind of detector from what the model says of its head. */
export type CreateCoder<Head> = (head: Head, classes: number, image: Size) => BoxCoder;
