import type { ErrorCode } from "../../base/index.js";
import type { Trial } from "../app.js";
import type { PlanEntry } from "../simulate/report.js";
import type { Signals } from "../trace.js";

/** What an app was doing when it failed. */
export type LiveWork = "frames" | "predict" | "make" | "train" | "swap" | "observe" | "trial";

/** What happened: every decision, and what was done about it. Plain data, a line of a file each. Units: milliseconds from the start. */
export type LiveEvent =
  | ({ readonly kind: "plan" } & Omit<PlanEntry, "atMs">)
  | { readonly kind: "arrived"; readonly app: string }
  | { readonly kind: "departed"; readonly app: string }
  /** Seen by enough pictures to learn from. */
  | { readonly kind: "drifted"; readonly app: string; readonly surroundings: string }
  | { readonly kind: "made"; readonly app: string; readonly level: number; readonly tookMs: number }
  /** Since the plan before; `steps` of this model altogether. */
  | {
      readonly kind: "trained";
      readonly app: string;
      readonly level: number;
      readonly steps: number;
      readonly tookMs: number;
    }
  /** `score`: what estimates start from. */
  | {
      readonly kind: "observed";
      readonly app: string;
      readonly level: number;
      readonly steps: number;
      readonly signals: Signals;
      readonly score: number;
    }
  | ({ readonly kind: "tried"; readonly tookMs: number } & Trial)
  /** Predictions: the first one in a window. */
  | {
      readonly kind: "failed";
      readonly app: string;
      readonly doing: LiveWork;
      readonly code: ErrorCode;
      readonly message: string;
    };

export type LiveEntry = { readonly atMs: number } & LiveEvent;
