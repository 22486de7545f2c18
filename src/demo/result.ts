import type { VisitRow } from "./visit.js";

/** Means over the visits, each of the same size. Units: shares in [0, 1]; seconds. */
export interface DemoHeadline {
  readonly source: number;
  readonly bn: number;
  readonly tentOnline: number;
  readonly tentAfter: number;
  readonly patched: number;
  /** One domain, on average. */
  readonly tentSeconds: number;
  readonly patchSeconds: number;
  /** Numbers in a patch, each four bytes. */
  readonly patchValues: number;
  /** From start to end. */
  readonly seconds: number;
}

export interface DemoResult {
  readonly headline: DemoHeadline;
  readonly domains: readonly VisitRow[];
  readonly folder: string;
  readonly machine: Machine;
  readonly seed: number;
  readonly command: string;
}

export interface Machine {
  readonly processor: string;
  readonly threads: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
}
