import type * as graph from "../../src/graph/index.js";
import type { Machine } from "../../src/run/node.js";
import type { Trainer } from "../../src/run/trainer.js";

export interface Run {
  readonly losses: readonly number[];
  readonly weights: readonly number[];
  readonly isRefused: boolean;
}
export declare const WORKLOADS: readonly string[];
export declare function trainOn(
  library: { readonly graph: typeof graph; readonly Trainer: Pick<typeof Trainer, "create"> },
  machine: Machine,
  name: string,
): Promise<Run>;
