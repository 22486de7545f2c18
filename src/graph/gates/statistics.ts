import { invariant, type NumericArray, type Tensor, tensorOf } from "../../base/index.js";
import { attr, type Model } from "../ir/index.js";
import { Emitter } from "../ops/index.js";
import { gatherAlong } from "../passes/index.js";
import { gatesOf } from "./gates.js";

const METADATA = "elastic.levels";
const tableOf = (name: string): string => `${name}:levels`;

/** The running statistics of every normalization at one sparsity, by initializer. */
export interface LevelStatistics {
  readonly sparsity: number;
  readonly statistics: ReadonlyMap<string, Tensor>;
}

/** The sparsities for which a gated model has statistics of its own; none where it has one set for all. */
export const levelsOf = ({ metadata }: Model): readonly number[] => {
  const levels: unknown = JSON.parse(metadata.get(METADATA) ?? "[]");
  return Array.isArray(levels) ? levels.map(Number) : [];
};

/** The stored level nearest to a sparsity, in float32 as in the graph; of two equally near the lower. */
const nearest = (levels: readonly number[], sparsity: number): number => {
  const distances = levels.map((level) => Math.abs(Math.fround(Math.fround(level) - Math.fround(sparsity))));
  return distances.indexOf(Math.min(...distances));
};

/** Names of the initializers that hold running statistics. */
export function statisticsOf({ graph }: Model): string[] {
  const names = graph.nodes.flatMap((node) => (node.op === "BatchNormalization" ? node.inputs.slice(3) : []));
  return [...new Set(names)].filter((name) => graph.initializers.has(name) || graph.initializers.has(tableOf(name)));
}

/**
 * Gives a gated model statistics for several sparsities: a run takes those of the nearest one (of its first image, where each has
 * its own). What one sparsity does to the distribution of activations, the statistics of another do not undo.
 */
export function attachStatistics(model: Model, levels: readonly LevelStatistics[]): Model {
  const { sparsity, gates } = gatesOf(model);
  invariant(gates.length > 0 && levels.length > 0, "levels are attached to a gated model");
  const plain = selectStatistics(model, levels[0]!.sparsity);
  const { graph } = plain;
  const names = statisticsOf(plain);
  const initializers = new Map(graph.initializers);
  const taken = [...graph.nodes.flatMap(({ name, outputs }) => [name, ...outputs]), ...initializers.keys(), sparsity];
  const emit = new Emitter(plain.opsets.get("")!, taken, "levels/");
  const wanted = emit.slice(emit.value(sparsity, { dtype: "float32", dims: [2] }), [0], [0], [1]);
  const known = emit.tensor(
    tensorOf(
      "float32",
      [levels.length],
      levels.map((level) => level.sparsity),
    ),
    "sparsities",
  );
  const index = emit.node("ArgMin", [emit.abs(emit.sub(known, wanted))], {
    axis: attr.int(0),
    keepdims: attr.int(0),
  })[0];
  const picks = names.map((name) => {
    const rows = levels.map(({ statistics }) => (statistics.get(name) ?? graph.initializers.get(name)!).data);
    const dims = [levels.length, rows[0]!.length];
    const table = {
      dtype: "float32" as const,
      dims,
      data: Float32Array.from(rows.flatMap((row) => Array.from(row, Number))),
    };
    initializers.delete(name);
    initializers.set(tableOf(name), table);
    const [picked] = emit.node("Gather", [emit.value(tableOf(name), table), index], { axis: attr.int(0) });
    return [picked.name, name] as const;
  });
  const renamed = new Map(picks);
  const nodes = emit.drain().map((node) => ({ ...node, outputs: node.outputs.map((out) => renamed.get(out) ?? out) }));
  const metadata = new Map([...plain.metadata, [METADATA, JSON.stringify(levels.map((level) => level.sparsity))]]);
  return { ...plain, metadata, graph: { ...graph, nodes: [...nodes, ...graph.nodes], initializers } };
}

/** The model with one set of statistics: those of the level nearest to the sparsity. */
export function selectStatistics(model: Model, sparsity: number): Model {
  const levels = levelsOf(model);
  if (levels.length === 0) return model;
  const { graph } = model;
  const row = nearest(levels, sparsity);
  const names = new Set(statisticsOf(model).filter((name) => graph.initializers.has(tableOf(name))));
  const initializers = new Map(graph.initializers);
  for (const name of names) {
    const picked = gatherAlong(graph.initializers.get(tableOf(name))!, 0, [row]);
    initializers.set(name, { ...picked, dims: picked.dims.slice(1) });
    initializers.delete(tableOf(name));
  }
  const nodes = graph.nodes.filter(({ name, outputs }) => !names.has(outputs[0]!) && !name.startsWith("levels/"));
  const metadata = new Map([...model.metadata].filter(([key]) => key !== METADATA));
  return { ...model, metadata, graph: { ...graph, nodes, initializers } };
}

/** The model with new values for some initializers; for statistics, those of the level nearest to the sparsity. */
export function withWeights(model: Model, values: ReadonlyMap<string, Tensor>, sparsity: number): Model {
  const initializers = new Map(model.graph.initializers);
  for (const [name, value] of values) {
    const table = initializers.get(tableOf(name));
    if (table) initializers.set(tableOf(name), withRow(table, nearest(levelsOf(model), sparsity), value));
    else initializers.set(name, value);
  }
  return { ...model, graph: { ...model.graph, initializers } };
}

function withRow(table: Tensor, row: number, value: Tensor): Tensor {
  const data = (table.data as Float32Array).slice();
  data.set(Array.from(value.data as NumericArray, Number), row * table.dims[1]!);
  return { ...table, data };
}
