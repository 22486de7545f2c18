import type { DType, NumericArray } from "../base/index.js";

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
}

/** One named array of a state store, with its value at the start. */
export interface StateArray {
  readonly name: string;
  readonly value: RunTensor;
}

/** Joins an input and an output of a model to an array of the store. */
export interface StateBinding {
  readonly name: string;
  readonly input: string;
  readonly output: string;
}

export interface RunOptions {
  /** Outputs to return; state outputs never leave the worker. */
  readonly fetches: readonly string[];
  /** Keep the new state only when these outputs are finite throughout. */
  readonly finite?: readonly string[];
}

export interface RunResult {
  readonly outputs: Results;
  /** False when an output named in `finite` was not: the state is as before. */
  readonly accepted: boolean;
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
  createSession(model: Uint8Array, options?: SessionOptions, bindings?: readonly StateBinding[]): Promise<Session>;
  /** Adds arrays, or overwrites those of the same name and shape. Throws: `shape.mismatch`, and then writes none. */
  writeState(arrays: readonly StateArray[]): Promise<void>;
  /** Copies of the arrays, by name. */
  readState(names: readonly string[]): Promise<Map<string, RunTensor>>;
  /** Resident memory of the process. Units: bytes. */
  memory(): Promise<{ readonly residentBytes: number; readonly peakBytes: number }>;
}
