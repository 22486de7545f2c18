import { LimberError, type Tensor } from "../../../base/index.js";
import { type Attribute, attributesOf, checkGraph, type Graph, type Model, type Node } from "../../ir/index.js";
import { type Axis, channelTable, findOpType, type Rewrite, type SizedRule } from "../../ops/index.js";
import type { Binding } from "../bind.js";
import { opsetOf } from "../knowledge.js";
import { inferShapes } from "../shapes.js";
import { sweepDead } from "../sweep.js";
import { axesByLabel, findEmptied } from "./closure.js";
import { analyzeChannels, type ChannelAnalysis, findChannelGroups } from "./groups.js";
import { gatherAlong, type PruneRecord } from "./record.js";
import { type ChannelSelection, checkSelection } from "./selection.js";
import { type ChannelTrace, numbersOf } from "./trace.js";

export interface PrunedModel {
  readonly model: Model;
  readonly record: PruneRecord;
}

/**
 * Removes the units of each group that the selection does not name: weights, and the settings that speak of their number.
 * Inputs, outputs, names of weights and metadata stay. What remains computes the same as when the removed channels gave zero.
 * Throws: `config.invalid` for a selection that does not fit, or leaves nothing of an axis.
 */
export const pruneChannels = (source: Model, selection: ChannelSelection, binding: Binding = {}): PrunedModel =>
  pruneAnalyzed(analyzeChannels(source, binding), selection, binding);

/** The same for a model that is analysed already: one analysis serves all weights and selections. */
export function pruneAnalyzed(
  { model, trace, groups, units }: ChannelAnalysis,
  selection: ChannelSelection,
  binding: Binding = {},
): PrunedModel {
  checkSelection(groups, selection);
  const removed = new Set<number>();
  for (const [id, kept] of Object.entries(selection)) {
    const stays = new Set(kept);
    units.get(id)!.forEach((unit, i) => {
      if (!stays.has(i)) for (const label of unit.labels) removed.add(label);
    });
  }
  checkNothingEmptied(trace, removed);
  const pruned = sweepDead(cutModel(model, trace, removed));
  checkGraph(pruned.graph);
  inferShapes(pruned, { batch: 1, ...binding });
  return { model: pruned, record: recordOf(model.graph, trace, groups, selection, removed) };
}

/**
 * Cuts another model of the same architecture in the same way.
 * Throws: `config.invalid` where its groups are others.
 */
export function replayPruning(record: PruneRecord, model: Model, binding: Binding = {}): PrunedModel {
  const sizes = new Map(findChannelGroups(model, binding).map(({ id, size }) => [id, size]));
  for (const [id, { size }] of Object.entries(record.groups)) {
    if (sizes.get(id) === size) continue;
    const message = `channel group "${id}": ${size} units as recorded, got ${sizes.get(id) ?? "no such group"}; the record is of another architecture`;
    throw new LimberError("config.invalid", message, { group: id });
  }
  const selection = Object.fromEntries(Object.entries(record.groups).map(([id, { kept }]) => [id, kept]));
  return pruneChannels(model, selection, binding);
}

/** Takes the removed positions out of every weight, and rewrites what speaks of their number. The labels have to be closed. */
export function cutModel(model: Model, trace: ChannelTrace, removed: ReadonlySet<number>): Model {
  const { graph } = model;
  const kept = createKept(trace, removed);
  const initializers = new Map(graph.initializers);
  for (const { name, axis, labels } of trace.weights) {
    const positions = kept(labels);
    if (positions.length < labels.length) initializers.set(name, gatherAlong(initializers.get(name)!, axis, positions));
  }
  const open = inferShapes(model).graph;
  const isStatic = (name: string, axis: number): boolean => typeof open.types.get(name)?.dims?.[axis] === "number";
  const added = new Map<string, Tensor>();
  const nodes = graph.nodes.map((node) => rewriteNode(node, model, trace, kept, isStatic, added));
  return {
    ...model,
    graph: { ...graph, nodes, initializers: new Map([...initializers, ...added]), types: new Map() },
  };
}

/** Throws: `config.invalid` */
function checkNothingEmptied(trace: ChannelTrace, removed: ReadonlySet<number>): void {
  const emptied = findEmptied(removed, axesByLabel(trace), trace.labels);
  if (!emptied) return;
  const [value] = [...trace.axes].find(([, axes]) => axes.includes(emptied))!;
  const message = `channel selection: something left of every axis, got nothing of "${value}"; keep more of its groups`;
  throw new LimberError("config.invalid", message, { value });
}

type Kept = (axis: Axis) => readonly number[];

function createKept({ labels }: ChannelTrace, removed: ReadonlySet<number>): Kept {
  const known = new Map<Axis, readonly number[]>();
  return (axis) => {
    const found = known.get(axis);
    if (found) return found;
    const positions = [...axis.keys()].filter((i) => !removed.has(labels.find(axis[i]!)));
    known.set(axis, positions);
    return positions;
  };
}

function recordOf(
  { initializers }: Graph,
  trace: ChannelTrace,
  groups: ChannelAnalysis["groups"],
  selection: ChannelSelection,
  removed: ReadonlySet<number>,
): PruneRecord {
  const sizes = new Map(groups.map(({ id, size }) => [id, size]));
  const kept = createKept(trace, removed);
  const shrunk = trace.weights.filter(({ labels }) => kept(labels).length < labels.length);
  const names = [...new Set(shrunk.map(({ name }) => name))];
  return {
    groups: Object.fromEntries(
      Object.entries(selection).map(([id, units]) => [id, { size: sizes.get(id)!, kept: [...units] }]),
    ),
    weights: Object.fromEntries(
      names.map((name) => {
        const axes = shrunk.filter((weight) => weight.name === name);
        const entries = axes.map(({ axis, labels }) => [axis, [...kept(labels)]]);
        return [
          name,
          { dims: initializers.get(name)!.dims, axes: Object.fromEntries(entries) as Record<string, number[]> },
        ];
      }),
    ),
  };
}

function rewriteNode(
  node: Node,
  model: Model,
  trace: ChannelTrace,
  kept: Kept,
  isStatic: (value: string, axis: number) => boolean,
  added: Map<string, Tensor>,
): Node {
  const op = findOpType(node);
  const rule = op ? channelTable[op] : "opaque";
  const axesOf = (name: string | undefined): readonly Axis[] => trace.axes.get(name ?? "") ?? [];
  const shrinks = [...node.inputs, ...node.outputs].some((name) =>
    axesOf(name).some((axis) => kept(axis).length < axis.length),
  );
  if (!shrinks || typeof rule !== "object") return node;
  const { attributes = {}, settings = {} }: Rewrite = rule.rewrite({
    node,
    attributes: attributesOf(node),
    opset: opsetOf(model),
    axes: (index) => axesOf(node.inputs[index]),
    outputs: (index) => axesOf(node.outputs[index]),
    constant: (index) => numbersOf(model.graph.initializers.get(node.inputs[index] ?? "")),
    kept,
    isStatic: (output, axis) => isStatic(node.outputs[output]!, axis),
  } satisfies Parameters<SizedRule["rewrite"]>[0]);
  const inputs = [...node.inputs];
  for (const [index, value] of Object.entries(settings)) {
    const name = `${node.outputs[0]}/pruned:${index}`;
    added.set(name, value);
    while (inputs.length <= Number(index)) inputs.push("");
    inputs[Number(index)] = name;
  }
  const merged = Object.entries({ ...node.attributes, ...attributes }).filter(
    (entry): entry is [string, Attribute] => entry[1] !== undefined,
  );
  return { ...node, inputs, attributes: Object.fromEntries(merged) };
}
