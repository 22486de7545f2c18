import type { Tensor } from "../../base/index.js";
import { type ChannelGroup, gatherAlong, type PruneRecord } from "../passes/index.js";
import { boostsOf } from "./boosts.js";
import type { Surrogate } from "./choice.js";

type Order = Readonly<Record<string, readonly number[]>>;
type Axes = Record<string, readonly number[]>;

/**
 * The same surrogate with the filters of each group in another order; `order` names them by their places now. To the graph all filters of a
 * group are alike, so what is computed changes by rounding alone.
 */
export function reorderFilters(
  { model, choice, record, filters }: Surrogate,
  groups: readonly ChannelGroup[],
  order: Order,
): Surrogate {
  const { graph } = model;
  const sources = new Map<string, Map<number, number[]>>();
  const sourcesOf = (name: string, axis: number): number[] => {
    const axes = sources.get(name) ?? new Map<number, number[]>();
    sources.set(name, axes);
    const from = axes.get(axis) ?? [...Array(graph.initializers.get(name)!.dims[axis]).keys()];
    axes.set(axis, from);
    return from;
  };
  for (const { id, members } of groups) {
    const [units, wanted] = [choice.kept[id], order[id]];
    if (!units || !wanted) continue;
    for (const { initializer, axis, indices } of members) {
      if (!graph.initializers.has(initializer)) continue;
      const placeOf = placesIn(record, initializer, axis);
      const places = units.map((unit) => indices[unit]!.map(placeOf));
      const from = sourcesOf(initializer, axis);
      places.forEach((own, slot) => own.forEach((place, i) => (from[place] = places[wanted[slot]!]![i]!)));
    }
  }
  const initializers = new Map<string, Tensor>(graph.initializers);
  const weights: Record<string, PruneRecord["weights"][string]> = { ...record.weights };
  for (const [name, axes] of sources) {
    const { dims, axes: before }: { dims: readonly number[]; axes: Axes } = record.weights[name] ?? {
      dims: graph.initializers.get(name)!.dims,
      axes: {},
    };
    const after: Axes = { ...before };
    for (const [axis, from] of axes) {
      initializers.set(name, gatherAlong(initializers.get(name)!, axis, from));
      after[axis] = before[axis] ? from.map((place) => before[axis]![place]!) : from;
    }
    weights[name] = { dims, axes: after };
  }
  for (const { group, factors } of boostsOf(model))
    if (order[group]) initializers.set(factors, gatherAlong(initializers.get(factors)!, 0, order[group]));
  const pick = <T>(list: ArrayLike<T>, group: string): T[] => {
    const all = Array.from(list);
    return (order[group] ?? [...all.keys()]).map((place) => all[place]!);
  };
  const kept = mapEntries(choice.kept, (units, group) => pick(units, group));
  const boosts = choice.boosts && mapEntries(choice.boosts, (list, group) => Float32Array.from(pick(list, group)));
  const ordered = mapEntries(record.groups, ({ size, kept: units }, id) => ({ size, kept: pick(units, id) }));
  return {
    model: { ...model, graph: { ...graph, initializers } },
    choice: { ...choice, kept, boosts },
    record: { groups: ordered, weights },
    // Slots stay where they are: what was moved is their content.
    filters,
  };
}

/** Where a position of the master's weight stands in the surrogate's. */
function placesIn({ weights }: PruneRecord, name: string, axis: number): (position: number) => number {
  const positions = weights[name]?.axes[axis];
  if (!positions) return (position) => position;
  const places = new Map(positions.map((position, place) => [position, place]));
  return (position) => places.get(position)!;
}

const mapEntries = <T, U>(
  record: Readonly<Record<string, T>>,
  change: (value: T, key: string) => U,
): Record<string, U> => Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
