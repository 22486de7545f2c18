import { bytesPerElement, isFloat, sizeOf } from "../../base/index.js";
import {
  ancestorsOf,
  attributesOf,
  descendantsOf,
  type Dim,
  type Graph,
  type Model,
  type Node,
  readsOf,
  type ValueInfo,
} from "../ir/index.js";
import { findOpType } from "../ops/index.js";
import { costOf, foldConstants, sweepDead } from "../passes/index.js";
import { findBatchNormalized } from "./normalization.js";
import { type Edge, minimumCut } from "./prefix-cut.js";
import type { StepOptions } from "./step.js";

/** Rough rates of one machine, to weigh computing against keeping. Units: per second. */
const RATES = { macs: 30e9, computedBytes: 10e9, imageBytes: 3e9, keptBytes: 1.5e9 };

/**
 * Values that do not change while a model trains, and from which its step can start (`modelFrom`): no trained parameter,
 * statistic of the batch or unknown op reaches them. Undefined when computing everything from the image is cheapest.
 *
 * Among all sets of values that every path from the image to a trained value leads through, the one for which computing
 * what stands behind it, step by step, and keeping it, sample by sample, costs least.
 * Shapes: the model is bound to a batch; each value is [N, …], like the image.
 */
export function findFrontier(source: Model, options: StepOptions): readonly string[] | undefined {
  const model = foldConstants(source, options.train?.parameters);
  const { graph } = model;
  const images = imagesOf(graph);
  const moving = findMoving(graph, options);
  if (!moving.has(graph.outputs[0]!.name)) return undefined;
  const reached = descendantsOf(graph, images);
  const frozen = graph.nodes.filter(({ outputs }) => outputs.some((name) => reached.has(name) && !moving.has(name)));
  const early = frozen.length > 0 ? earlySide(model, frozen, images) : new Set<Node>();
  const late = graph.nodes.filter((node) => !early.has(node));
  const needed = new Set(late.flatMap(readsOf));
  const frontier = [...early].flatMap(({ outputs }) => outputs.filter((name) => needed.has(name)));
  return frontier.length > 0 ? frontier : undefined;
}

/** The model up to some of its values, which become its outputs. */
export function modelUpTo(source: Model, values: readonly string[]): Model {
  const model = foldConstants(source);
  const outputs = values.map((name) => infoOf(model.graph, name));
  return sweepDead({ ...model, graph: { ...model.graph, outputs } });
}

/**
 * The model from some of its values on to its first output; they become inputs, beside those that it still reads.
 * `variables` are the initializers that train.
 */
export function modelFrom(source: Model, values: readonly string[], variables: readonly string[] = []): Model {
  const whole = foldConstants(source, variables);
  const outputs = whole.graph.outputs.slice(0, 1);
  const nodes = whole.graph.nodes.filter((node) => !node.outputs.some((name) => values.includes(name)));
  const model = sweepDead({ ...whole, graph: { ...whole.graph, nodes, outputs } });
  const { graph } = model;
  const alive = ancestorsOf(graph, [outputs[0]!.name]);
  const read = graph.inputs.filter(({ name }) => alive.has(name));
  return { ...model, graph: { ...graph, inputs: [...values.map((name) => infoOf(whole.graph, name)), ...read] } };
}

const imagesOf = (graph: Graph): string[] =>
  graph.inputs.flatMap(({ name }) => (graph.initializers.has(name) ? [] : [name]));

const infoOf = (graph: Graph, name: string): ValueInfo => ({ ...graph.types.get(name)!, name });

/** What changes from step to step for the same sample. */
function findMoving(graph: Graph, { statistics, train }: StepOptions): Set<string> {
  const parameters = train?.parameters ?? [];
  const batch = findBatchNormalized(graph, statistics, parameters);
  const changing = graph.nodes.filter((node) => batch.has(node) || !isRepeatable(node));
  return descendantsOf(graph, [...parameters, ...changing.flatMap(({ outputs }) => outputs)]);
}

/** Ops outside of the catalog may draw random numbers; training forms depend on the other samples. */
function isRepeatable(node: Node): boolean {
  if (findOpType(node) === undefined) return false;
  return node.op === "Dropout" ? !node.inputs[2] : attributesOf(node).int("training_mode", 0) === 0;
}

/** The frozen nodes that are worth computing once per sample. */
function earlySide(model: Model, frozen: readonly Node[], images: readonly string[]): Set<Node> {
  const { graph } = model;
  const [source, sink] = [0, 1];
  const vertices = new Map<Node | string, number>();
  const vertex = (key: Node | string): number => {
    if (!vertices.has(key)) vertices.set(key, vertices.size + 2);
    return vertices.get(key)!;
  };
  const edges: Edge[] = [];
  const early = new Set(frozen);
  const producers = new Map(frozen.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const costs = new Map(costOf(model).nodes.map((cost) => [cost.node, cost]));
  const batch = graph.inputs.find(({ name }) => name === images[0])!.dims?.[0];
  // A value is paid for once, when a reader stands on the other side.
  for (const name of images) edges.push([source, vertex(name), bytesOf(graph, name) / RATES.imageBytes]);
  for (const node of frozen) {
    const { macs, sizeBytes } = costs.get(node)!;
    edges.push([source, vertex(node), macs / RATES.macs + sizeBytes / RATES.computedBytes]);
    for (const name of node.outputs)
      if (name !== "") edges.push([vertex(node), vertex(name), keptBytesOf(graph, name, batch) / RATES.keptBytes]);
    // A node is computed early only if all before it is.
    for (const name of readsOf(node))
      if (producers.has(name)) edges.push([vertex(node), vertex(producers.get(name)!), Infinity]);
  }
  const isValue = (name: string): boolean => producers.has(name) || images.includes(name);
  for (const node of graph.nodes)
    for (const name of readsOf(node).filter(isValue))
      edges.push([vertex(name), early.has(node) ? vertex(node) : sink, Infinity]);
  const side = minimumCut(edges, source, sink);
  return new Set(frozen.filter((node) => side.has(vertex(node))));
}

function bytesOf(graph: Graph, name: string): number {
  const type = graph.types.get(name) ?? graph.inputs.find((input) => input.name === name);
  const dims = type?.dims?.every((d) => typeof d === "number") ? type.dims : undefined;
  return type && dims ? sizeOf(dims) * bytesPerElement(type.dtype) : Infinity;
}

/** Infinite for what cannot be kept sample by sample. Units: bytes. */
function keptBytesOf(graph: Graph, name: string, batch: Dim | undefined): number {
  const type = graph.types.get(name);
  return type && isFloat(type.dtype) && type.dims?.[0] === batch ? bytesOf(graph, name) : Infinity;
}
