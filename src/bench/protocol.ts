/** What the benchmark asks of a process that times one network, a line of JSON each. */
export type Command =
  | ({ readonly cmd: "prepare"; readonly network: string; readonly batch: number; readonly imageSize: number } & Task)
  | { readonly cmd: "step"; readonly count: number }
  | { readonly cmd: "memory" }
  | { readonly cmd: "roof"; readonly threads: number };

export interface Task {
  readonly threads: number;
  /** A mode for our side; what a peer has to know of it is in the rest. */
  readonly mode: string;
  readonly channels_last: boolean;
  /** How our side chooses formulations; peers have no such thing. */
  readonly tune: string;
  /** How to do what can be done in several ways: `mask` or `split` for filters. */
  readonly way: string;
  /** Trained parameters, and how many of their first output channels train, null for all; null: only predict. */
  readonly trained: Readonly<Record<string, number | null>> | null;
  /** Norms of a batch that keep the stored statistics. */
  readonly fixed_norms: readonly string[];
}

/** What it answers; `error` alone when it cannot. */
export interface Answer {
  /** Numbers in all parameters of the network. */
  readonly parameters?: number;
  readonly prepare_ms?: number;
  /** Library and version. */
  readonly version?: string;
  readonly trained?: Task["trained"];
  readonly fixed_norms?: Task["fixed_norms"];
  /** Multiply-accumulates that one step needs. */
  readonly macs?: number;
  readonly ms?: readonly number[];
  readonly peak_rss_mb?: number;
  readonly gmac_per_s?: number;
  readonly error?: string;
}
