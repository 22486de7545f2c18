import type { ErrorCode, ErrorContext } from "../base/index.js";
import type { Feeds, Phase, RunOptions, RunResult, RunTensor, SessionOptions, StateArray } from "./session.js";

/** What a machine asks of its worker. Plain data only: every message can be cloned. */
export type Request =
  | {
      readonly kind: "create";
      readonly session: number;
      readonly options: SessionOptions;
      readonly phases: readonly Phase[];
    }
  | { readonly kind: "run"; readonly session: number; readonly feeds: Feeds; readonly options: RunOptions }
  | { readonly kind: "release"; readonly session: number }
  | { readonly kind: "write"; readonly arrays: readonly StateArray[] }
  | { readonly kind: "read"; readonly names: readonly string[] }
  | { readonly kind: "drop"; readonly prefix: string }
  | { readonly kind: "memory" };

/** Told to a worker in place of a request: it finishes what is under way, begins nothing more and ends itself. */
export const END = "end";

export interface Answers {
  create: { readonly createMs: number };
  run: RunResult;
  release: undefined;
  write: undefined;
  read: Map<string, RunTensor>;
  drop: undefined;
  memory: { readonly residentBytes: number; readonly peakBytes: number };
}

export type Envelope = { readonly id: number; readonly request: Request };
export type Reply =
  | { readonly id: number; readonly answer: Answers[keyof Answers] }
  | { readonly id: number; readonly error: { code: ErrorCode; message: string; context: ErrorContext } };
