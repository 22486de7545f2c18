import type { AppState, TrialRequest } from "./app.js";

/** What apps share, for one window. */
export interface Device {
  /** Time to give away. Units: milliseconds of the device; what is left of the window when a plan is made anew within it, or after trials. */
  readonly windowMs: number;
  readonly memoryBytes: number;
  /** Least share of every app, as long as the sum allows it. Default 0.05, and at most half of one n-th for n apps. */
  readonly floorShare?: number | undefined;
}

export interface PlanRequest {
  readonly device: Device;
  readonly apps: readonly AppState[];
  readonly seed?: number | undefined;
}

/** A step of the planner: what it granted, and why it came before the others. */
export interface Decision {
  readonly app: string;
  /** Retain more filters, or train more steps. */
  readonly action: "retain" | "train";
  /** Level before and after for `retain`, steps before and after for `train`. */
  readonly from: number;
  readonly to: number;
  /** Steps granted together with the level of a `retain`, where only both pay. */
  readonly steps?: number | undefined;
  /** Weighted rise of the app's mean score over the window. */
  readonly gain: number;
  readonly costMs: number;
}

/** What one app gets. */
export interface Allocation {
  readonly app: string;
  /** Place in its levels. */
  readonly level: number;
  readonly steps: number;
  /** Share of the device, for predictions, making and training together, in [0, 1]; all shares together at most 1. */
  readonly share: number;
  /** Predictions that are given up, since they do not fit beside those of the others. */
  readonly shed: number;
  /** Of the whole window: predictions, making, training. */
  readonly costMs: number;
  /** Mean score expected over the window. */
  readonly expected: number;
  /** What decided, in order. */
  readonly why: readonly Decision[];
}

/** Work that is done before that of the next turn begins: the model, where another one is planned and not made yet, and so many steps. Then it serves. */
export interface Turn {
  readonly app: string;
  readonly steps: number;
}

/** Who gets how much of the device in a window. Σ costMs ≤ windowMs, Σ memory ≤ memoryBytes, always. */
export interface Plan {
  readonly planner: string;
  readonly windowMs: number;
  /** In the order of the request. */
  readonly allocations: readonly Allocation[];
  /** All making and training in the order in which it is done. Default: side by side, each app by its share. Predictions never wait for either. */
  readonly turns?: readonly Turn[] | undefined;
  /** Without trials: they were paid for before. */
  readonly costMs: number;
  readonly memoryBytes: number;
  /** Apps that get nothing at all, since not even their smallest model fits; the least weighted ones. */
  readonly refused: readonly string[];
}

/** Decides for all apps together. A value: it keeps nothing between windows, so that simulation and real runs use the same object. */
export interface Planner {
  readonly name: string;
  readonly summary: string;
  /** Trials that it wants before it decides; who runs them takes their cost off the window. Default: none. */
  trials?(request: PlanRequest): readonly TrialRequest[];
  /** Deterministic. Throws: `config.invalid` for a request that is not one. */
  plan(request: PlanRequest): Plan;
}
