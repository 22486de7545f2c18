import type { LineRow } from "./line.js";
import type { Together } from "./together.js";
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
  /** ElasticDNN's small model as cut for a domain, and as adapted. */
  readonly elasticBefore: number;
  readonly elastic: number;
  /** Choosing, cutting and checking it; its steps. */
  readonly elasticMadeSeconds: number;
  readonly elasticSeconds: number;
  /** Of the small models, and of the source model. Units: multiplications for an image; bytes of the file. */
  readonly elasticMacs: number;
  readonly elasticBytes: number;
  readonly sourceMacs: number;
  readonly sourceBytes: number;
  /** Numbers in a patch, each four bytes. */
  readonly patchValues: number;
  /** From start to end. */
  readonly seconds: number;
}

export interface DemoResult {
  readonly headline: DemoHeadline;
  readonly domains: readonly VisitRow[];
  /** Three models in a line, each after each drift. */
  readonly line: readonly LineRow[];
  /** Three apps that shared the device; null where they were left out. */
  readonly together: Together | null;
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
