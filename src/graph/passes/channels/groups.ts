import type { Model } from "../../ir/index.js";
import { NOT_A_CHANNEL } from "../../ops/index.js";
import type { Binding } from "../bind.js";
import { prepareModel } from "../prepare.js";
import { findUnits, type Unit } from "./closure.js";
import { settleShapes } from "./settle-shapes.js";
import { type ChannelTrace, traceChannels } from "./trace.js";

/** One axis of an initializer that shrinks with a group. */
export interface ChannelMember {
  readonly initializer: string;
  readonly axis: number;
  /** `makes`: the weights that compute the channel; `takes`: those that a later op multiplies it by. */
  readonly side: "makes" | "takes";
  /** Positions along the axis that go with each unit. */
  readonly indices: readonly (readonly number[])[];
}

/**
 * Channels that can be removed one by one, each from the same axes of the same weights and values.
 * So something is left of every axis as long as one unit of each group is.
 */
export interface ChannelGroup {
  /** Made of names and places in the model; the same for models that differ in weights alone. */
  readonly id: string;
  /** How many units can be removed. */
  readonly size: number;
  /** Positions that one unit takes along the axis of the first member: 1, or 64 for a head of 64. */
  readonly granularity: number;
  readonly members: readonly ChannelMember[];
  /** Why no unit can be removed; absent where they can. */
  readonly reason?: string;
  /** Ids of groups that cut some of the same positions another way, as single columns of heads beside whole heads. */
  readonly overlaps: readonly string[];
}

/** Groups with what was found on the way, for the passes that cut. */
export interface ChannelAnalysis {
  /** The model as it was analysed: prepared, and with shapes written down where they do not depend on the batch. */
  readonly model: Model;
  readonly trace: ChannelTrace;
  readonly groups: readonly ChannelGroup[];
  /** The units of each group, in order. */
  readonly units: ReadonlyMap<string, readonly Unit[]>;
}

/**
 * Finds what has to be removed together. A model whose inputs leave more axes open than the batch needs `binding`:
 * along an axis of unknown length nothing is removed.
 * Throws: `shape.mismatch`, `op.unsupported` for a model that cannot be prepared.
 */
export const findChannelGroups = (model: Model, binding: Binding = {}): readonly ChannelGroup[] =>
  analyzeChannels(model, binding).groups;

export function analyzeChannels(source: Model, binding: Binding = {}): ChannelAnalysis {
  const model = settleShapes(prepareModel(source));
  const trace = traceChannels(model, binding);
  const places = placesOf(trace);
  const crossed = crossingsOf(trace);
  const families = new Map<string, Family[]>();
  for (const unit of findUnits(trace)) {
    if (unit.reason === NOT_A_CHANNEL) continue;
    const counts = [...positionsOf(unit, places)].map(([weight, positions]) => `${weight}x${positions.length}`);
    const key = [unit.reason, ...counts, "in", ...(unit.reason === undefined ? crossedBy(unit, crossed) : [])].join();
    const alike = families.get(key) ?? [];
    const apart = alike.find(({ taken }) => ![...unit.labels].some((label) => taken.has(label)));
    const family = apart ?? { reason: unit.reason, units: [], taken: new Set() };
    family.units.push(unit);
    for (const label of unit.labels) family.taken.add(label);
    if (!apart) families.set(key, [...alike, family]);
  }
  const named = nameFamilies([...families.values()].flat(), trace, places);
  const groups = named.map((group) => ({ ...group.value, overlaps: overlapsOf(group.value, named) }));
  return { model, trace, groups, units: new Map(named.map(({ value, units }) => [value.id, units])) };
}

/** Units of a group; no two of them share a label. */
interface Family {
  readonly reason: string | undefined;
  readonly units: Unit[];
  readonly taken: Set<number>;
}

type Places = ReadonlyMap<number, readonly (readonly [weight: number, position: number])[]>;

/** Where in the weights each label stands. */
function placesOf({ labels, weights }: ChannelTrace): Places {
  const places = new Map<number, [number, number][]>();
  weights.forEach((weight, index) => {
    weight.labels.forEach((label, position) => {
      const root = labels.find(label);
      const list = places.get(root);
      if (list) list.push([index, position]);
      else places.set(root, [[index, position]]);
    });
  });
  return places;
}

/** Positions of a unit by weight axis, both in ascending order. */
function positionsOf({ labels }: Unit, places: Places): Map<number, number[]> {
  const found = [...labels].flatMap((label) => places.get(label) ?? []);
  const byWeight = new Map<number, number[]>();
  for (const [weight, position] of found.sort(([v, p], [w, q]) => v - w || p - q)) {
    const list = byWeight.get(weight);
    if (list) list.push(position);
    else byWeight.set(weight, [position]);
  }
  return byWeight;
}

/** Numbers of the axes that a unit is part of. */
function crossedBy({ labels }: Unit, crossed: ReadonlyMap<number, readonly number[]>): number[] {
  return [...new Set([...labels].flatMap((label) => crossed.get(label) ?? []))].sort((a, b) => a - b);
}

/** Numbers of all different axes that each label stands on. */
function crossingsOf({ labels, axes }: ChannelTrace): Map<number, number[]> {
  const byLabel = new Map<number, number[]>();
  [...new Set([...axes.values()].flat())].forEach((axis, number) => {
    for (const label of new Set(axis.map((each) => labels.find(each)))) {
      const list = byLabel.get(label);
      if (list) list.push(number);
      else byLabel.set(label, [number]);
    }
  });
  return byLabel;
}

interface NamedGroup {
  readonly value: Omit<ChannelGroup, "overlaps">;
  readonly units: readonly Unit[];
}

function nameFamilies(families: readonly Family[], trace: ChannelTrace, places: Places): NamedGroup[] {
  const taken = new Map<string, number>();
  return families.flatMap(({ reason, units }) => {
    const byUnit = units.map((unit) => positionsOf(unit, places));
    const members = [...byUnit[0]!.keys()].map((index): ChannelMember => {
      const { name, axis, labels } = trace.weights[index]!;
      const side = trace.consumed.has(labels) ? "takes" : "makes";
      return { initializer: name, axis, side, indices: byUnit.map((positions) => positions.get(index)!) };
    });
    const first = members.find(({ side }) => side === "makes") ?? members[0];
    if (!first) return [];
    const title = `${first.initializer}:${first.axis}`;
    const count = (taken.get(title) ?? 0) + 1;
    taken.set(title, count);
    const value = {
      id: count === 1 ? title : `${title}#${count}`,
      size: units.length,
      granularity: first.indices[0]!.length,
      members: [first, ...members.filter((member) => member !== first)],
      ...(reason !== undefined && { reason: `kept whole: ${reason}` }),
    };
    return [{ value, units }];
  });
}

function overlapsOf(group: NamedGroup["value"], all: readonly NamedGroup[]): string[] {
  if (group.reason !== undefined) return [];
  const touches = (other: NamedGroup["value"]): boolean =>
    group.members.some((member) =>
      other.members.some(
        ({ initializer, axis, indices }) =>
          initializer === member.initializer &&
          axis === member.axis &&
          intersect(indices.flat(), member.indices.flat()),
      ),
    );
  return all.flatMap(({ value }) =>
    value.id !== group.id && value.reason === undefined && touches(value) ? [value.id] : [],
  );
}

function intersect(a: readonly number[], b: readonly number[]): boolean {
  const set = new Set(a);
  return b.some((each) => set.has(each));
}
