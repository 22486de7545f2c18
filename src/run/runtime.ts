import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { Answers } from "./protocol.js";
import type { SessionOptions } from "./session.js";
import type { Conversion, StateArrays } from "./state.js";

export type Fetches = Readonly<Record<string, Tensor | null>>;

/** Runs a session; where `fetches` names a tensor, that is where its output is written, and what is answered. */
export type RunSession = (
  session: InferenceSession,
  feeds: Readonly<Record<string, Tensor>>,
  fetches: Fetches,
) => Promise<Readonly<Record<string, Tensor>>>;

export const runSession: RunSession = (session, feeds, fetches) => session.run(feeds, fetches);

/** What the engine needs of the ONNX Runtime around it: onnxruntime-node in a worker thread, onnxruntime-web in a web worker. */
export interface Runtime {
  /** The arrays that sessions share, where this runtime keeps them best. */
  readonly state: StateArrays;
  /** Loads a model; `stateOutputs` are the outputs that go back into the state. */
  load(model: Uint8Array, options: SessionOptions, stateOutputs: readonly string[]): Promise<InferenceSession>;
  /** Gives back the bytes of a loaded model at once, where waiting for the collector would cost memory. */
  readonly discard?: (model: Uint8Array) => void;
  /** How sessions are run; default: as they are. */
  readonly run?: RunSession;
  readonly convert: Conversion;
  memory(): Answers["memory"] | Promise<Answers["memory"]>;
}
