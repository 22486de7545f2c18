import {
  findBatchNormalized,
  lastLayersOf,
  leadingRows,
  type Model,
  parametersOf,
  type Statistics,
} from "../graph/index.js";

/** What a step of the benchmark does, and which figure of the headline it counts for, if any. */
export const MODES = {
  full: { title: "full training", part: "full" },
  filters: { title: "20 % of the filters train", part: "selective" },
  "last-third": { title: "the last third trains", part: "selective" },
  "last-third-cached": { title: "the last third trains, frozen part from the cache", part: undefined },
  inference: { title: "inference", part: "inference" },
  "inference-1": { title: "inference, one image", part: undefined },
} as const satisfies Readonly<Record<string, { title: string; part: "full" | "selective" | "inference" | undefined }>>;

export type Mode = keyof typeof MODES;
export const MODE_NAMES = Object.keys(MODES) as readonly Mode[];

export const isInference = (mode: Mode): boolean => mode === "inference" || mode === "inference-1";

/** Of the batch and tracked, as in `torch.nn`; frozen layers in front of all that trains keep theirs. */
export const STATISTICS: Statistics = { sourceWeight: 0, variance: "unbiased", layers: "trained" };

/** What trains in a mode, by the names that both sides give to parameters. */
export interface Plan {
  readonly parameters: readonly string[];
  /** Output channels that train, where not all of a parameter's do. */
  readonly rows: ReadonlyMap<string, readonly number[]>;
  /** BatchNormalization nodes that keep the stored statistics. */
  readonly fixedNorms: readonly string[];
}

/**
 * `full`: all parameters. `filters`: of every convolution and linear layer the first 20 % of the output channels, nothing else.
 * `last-third`: the last third of the layers with weights, in graph order, with their norms; norms before them keep their statistics.
 */
export function planOf(model: Model, mode: Mode): Plan {
  const none = { parameters: [], rows: new Map(), fixedNorms: [] };
  switch (mode) {
    case "full":
      return { ...none, parameters: parametersOf(model).map(({ name }) => name) };
    case "filters": {
      const rows = leadingRows(model, 0.2);
      return { ...none, parameters: [...rows.keys()], rows };
    }
    case "last-third":
    case "last-third-cached": {
      const names = lastLayersOf(model, 1 / 3).map(({ name }) => name);
      const normalized = findBatchNormalized(model.graph, STATISTICS, names);
      const fixed = model.graph.nodes.filter((node) => node.op === "BatchNormalization" && !normalized.has(node));
      return { ...none, parameters: names, fixedNorms: fixed.map(({ name }) => name) };
    }
    case "inference":
    case "inference-1":
      return none;
  }
}
