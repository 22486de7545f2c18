import { type Graph, type Model, type Node, producersOf } from "../ir/index.js";
import {
  analyzeChannels,
  type Binding,
  type ChannelAnalysis,
  type ChannelMember,
  inferShapes,
} from "../passes/index.js";
import { canScale } from "./scale.js";
import { isMixing, passesZero } from "./zeros.js";

/** A place where a gate can stand: a value whose channels may be silenced one by one. */
export interface GateSite {
  /** The channel group that goes with the channels. */
  readonly group: string;
  readonly size: number;
  /** The value that is gated. */
  readonly value: string;
  /** The axis of its channels. */
  readonly axis: number;
  /** What the gate looks at: the input of the layer that makes the channels. */
  readonly source: string;
  readonly sourceAxis: number;
  /** The weights that make the channels: rows of convolutions, and what normalization holds for each. */
  readonly makes: readonly ChannelMember[];
}

export interface GateSites {
  readonly analysis: ChannelAnalysis;
  readonly sites: readonly GateSite[];
}

/**
 * Finds where gates can stand: for each channel group the first value that, where a channel of it is zero, computes what the
 * model without that channel computes.
 *
 * That holds when all that multiplies the channel by weights reads a zero: between convolution and ReLU behind the
 * normalization; behind the normalization of a depthwise convolution, whose own would turn zeros into numbers; not on a residual
 * stream, where the shortcut brings the channel back. The value has to be one whose layer can take up a factor per channel, and
 * its first axis has to be that of the images.
 */
export function findGateSites(source: Model, binding: Binding = {}): GateSites {
  const analysis = analyzeChannels(source, binding);
  const { model, trace, groups, units } = analysis;
  const { graph } = inferShapes(model, { batch: 2, ...binding });
  const producers = producersOf(graph);
  const valuesOf = valuesByLabel(analysis.trace);
  const taken = new Set<string>();
  const sites = groups.flatMap((group): GateSite[] => {
    if (group.reason !== undefined || group.overlaps.some((id) => taken.has(id))) return [];
    const unitOf = new Map(units.get(group.id)!.flatMap(({ labels }, i) => [...labels].map((label) => [label, i])));
    const carriers = new Set([...unitOf.keys()].flatMap((label) => [...(valuesOf.get(label) ?? [])]));
    const carries = (value: string): boolean => carriers.has(value);
    const nodes = graph.nodes.filter((node) => [...node.inputs, ...node.outputs].some(carries));
    for (const node of nodes) {
      const [value] = node.outputs;
      const axes = trace.axes.get(value!) ?? [];
      const along = axes.map((axis) => Array.from(axis, (label) => unitOf.get(trace.labels.find(label))));
      const axis = along.findIndex((units) => units.length === group.size && units.every((unit, i) => unit === i));
      const alone = along.every((units, i) => i === axis || units.every((unit) => unit === undefined));
      if (axis < 1 || !alone || !isPerImage(graph, value!) || !canScale(graph, value!)) continue;
      if (!silences(value!, nodes, carries, graph)) continue;
      const maker = findMaker(value!, producers, carries, graph);
      if (!maker || !isPerImage(graph, maker.source)) continue;
      taken.add(group.id);
      const makes = group.members.filter(({ side }) => side === "makes");
      return [{ group: group.id, size: group.size, value: value!, axis, ...maker, makes }];
    }
    return [];
  });
  return { analysis, sites };
}

/** The values that have each label on one of their axes. */
function valuesByLabel({ axes, labels }: ChannelAnalysis["trace"]): Map<number, Set<string>> {
  const values = new Map<number, Set<string>>();
  for (const [value, all] of axes)
    for (const label of new Set(all.flatMap((axis) => Array.from(axis, (each) => labels.find(each))))) {
      const found = values.get(label);
      if (found) found.add(value);
      else values.set(label, new Set([value]));
    }
  return values;
}

const dimsOf = ({ types, inputs }: Graph, value: string) =>
  (types.get(value) ?? inputs.find(({ name }) => name === value))?.dims;

const isPerImage = (graph: Graph, value: string): boolean => dimsOf(graph, value)?.[0] === graph.inputs[0]?.dims?.[0];

/** Whether, where `value` is zero along the group, each op that mixes channels of the group with others reads zeros. */
function silences(value: string, nodes: readonly Node[], carries: (name: string) => boolean, graph: Graph): boolean {
  const zeros = new Set([value]);
  for (const node of nodes) {
    const carriers = node.inputs.filter((name) => carries(name) && !graph.initializers.has(name));
    if (isMixing(node, graph) && carriers.length > 0 && !carriers.some((name) => zeros.has(name))) return false;
    const isZero = (name: string): boolean => zeros.has(name);
    if (passesZero(node, graph, isZero, carries)) for (const output of node.outputs) zeros.add(output);
  }
  return true;
}

/** The layer that makes the channels of a value: the last one before it that mixes others into them. */
function findMaker(
  value: string,
  producers: ReadonlyMap<string, Node>,
  carries: (name: string) => boolean,
  graph: Graph,
): { source: string; sourceAxis: number } | undefined {
  for (let node = producers.get(value); node;) {
    const data = node.inputs.filter((name) => name !== "" && !graph.initializers.has(name));
    if (isMixing(node, graph)) {
      const [source] = node.inputs;
      const rank = source === data[0] ? (dimsOf(graph, source!)?.length ?? 0) : 0;
      return rank < 2 ? undefined : { source: source!, sourceAxis: node.op.startsWith("Conv") ? 1 : rank - 1 };
    }
    const before = data.find(carries);
    node = before === undefined ? undefined : producers.get(before);
  }
  return undefined;
}
