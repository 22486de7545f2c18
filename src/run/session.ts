import type { DType, NumericArray } from "../base/index.js";
import type { Provider } from "./provider.js";

/** What a session takes and gives: dense numeric tensors over typed arrays. */
export interface RunTensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: NumericArray;
}

export type Feeds = Readonly<Record<string, RunTensor>>;
export type Results = Record<string, RunTensor>;

export interface SessionOptions {
  /** Threads of one operator; default: half of the logical processors, at least one. */
  readonly threads?: number | undefined;
  /** How much ONNX Runtime rewrites the graph while loading; default "all". */
  readonly optimization?: "disabled" | "basic" | "extended" | "all" | undefined;
  /** Threads that wait for work stop with the run instead of spinning on: for a session whose runs another one follows at once. */
  readonly isBrief?: boolean | undefined;
}

export type TensorType = Pick<RunTensor, "dtype" | "dims">;

/** One named array of a state store, with its value at the start: zeros where no data is given. */
export interface StateArray {
  readonly name: string;
  readonly value: RunTensor | TensorType;
}

/** Joins an input of a model, an output, or both, to an array of the store. */
export interface StateBinding {
  readonly name: string;
  readonly input?: string;
  readonly output?: string;
  /** Where the array is in host memory, the new value overwrites the old one while the model runs, whatever comes of the run. */
  readonly inPlace?: boolean;
  /** The input and output are a piece of the array, as a vector; only in host memory and in place. Units: elements. */
  readonly tile?: { readonly from: number; readonly length: number };
}

/** A model and how it is joined to the store. */
export interface Phase {
  readonly model: Uint8Array;
  readonly bindings: readonly StateBinding[];
}

export interface RunOptions {
  /** Outputs to return; state outputs never leave the worker. */
  readonly fetches: readonly string[];
  /** Keep the new state only when these outputs are finite throughout. */
  readonly finite?: readonly string[];
  /** Run the update only when this output, a scalar, is not 0. */
  readonly updateIf?: string | undefined;
}

export interface RunResult {
  readonly outputs: Results;
  /** False when an output named in `finite` was not: the state is as before. */
  readonly accepted: boolean;
  /** Whether the update ran. */
  readonly updated: boolean;
  /** Time inside of the runtime. Units: milliseconds. */
  readonly runMs: number;
}

/** A loaded model. `run` never blocks the caller's event loop; calls are served in order. */
export interface Session {
  readonly createMs: number;
  run(feeds: Feeds, options: RunOptions): Promise<RunResult>;
  dispose(): Promise<void>;
}

/**
 * A place that runs models: a worker with its own arrays. Sessions of one machine share its state arrays,
 * so a step compiled for another batch size continues with the same weights.
 */
export interface Machine extends AsyncDisposable {
  readonly provider: Provider;
  /**
   * `update` runs after `model` in the same call, when that run was accepted; arrays that `model` only writes come to be here.
   * The bytes of both are given away: they move to the worker.
   */
  createSession(
    model: Uint8Array,
    options?: SessionOptions,
    bindings?: readonly StateBinding[],
    update?: Phase,
  ): Promise<Session>;
  /** Adds arrays, or overwrites those of the same name and shape. Throws: `shape.mismatch`, and then writes none. */
  writeState(arrays: readonly StateArray[]): Promise<void>;
  /** Copies of the arrays, by name. */
  readState(names: readonly string[]): Promise<Map<string, RunTensor>>;
  /** Frees the arrays whose names begin so; no session may read them any more. */
  dropState(prefix: string): Promise<void>;
  /** Resident memory of the process. Units: bytes. */
  memory(): Promise<{ readonly residentBytes: number; readonly peakBytes: number }>;
}
