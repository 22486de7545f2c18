import { type FloatTensor, LimberError, Random, sizeOf, type Tensor, tensorOf } from "../../base/index.js";
import { checkGraph, type Model, type Node } from "../ir/index.js";
import { Emitter, type Val } from "../ops/index.js";
import {
  type Binding,
  CHANNEL_SCORES,
  type ChannelAnalysis,
  inferShapes,
  parametersOf,
  sweepDead,
} from "../passes/index.js";
import { findGateSites, type GateSite } from "./sites.js";
import { takeLargest } from "./take-largest.js";

/** The input of a gated model that says which share of the channels of each gate is silenced. */
export const SPARSITY = "sparsity";
const METADATA = "elastic.gates";

/** A gate in a model. Scores and vector are values of the graph. Shapes: [N, size]. */
export interface Gate {
  readonly group: string;
  readonly size: number;
  /** The axis of the channels in what is gated. */
  readonly axis: number;
  /** What is gated; `ungated` is the same before. */
  readonly value: string;
  readonly ungated: string;
  /** What the gate computes for each channel, and what is left of it at the sparsity. */
  readonly scores: string;
  readonly vector: string;
  /** Weights of the gate itself. */
  readonly parameters: readonly string[];
}

export interface GateOptions {
  /**
   * `neutral`: weights 0 and bias 1, so that every gate is open; the gated model at sparsity 0 is then the model.
   * `he`: weights drawn from N(0, 2/inputs), bias 1, as ElasticDNN's code.
   * `ranked`: those weights times 0.02, bias 1 ± 0.05 by the rank of the channel's L1 norm. Training then begins at the model, and
   * at a sparsity at the model pruned by magnitude, rather than at what random gates leave of it.
   */
  readonly initial?: "neutral" | "he" | "ranked";
  /** Two layers instead of one, the inner one of size / reduction. */
  readonly reduction?: number | undefined;
  readonly seed?: number;
}

/**
 * Puts a gate on every site of the model (`findGateSites`): y = v ⊙ kTakesAll(ReLU(mean|x|·Φ + ρ)), where x is the input of the
 * layer that makes v. Weights of the model are untouched. The gated model has one more input, `sparsity` [1] or one for each
 * image [N], so that one file runs at any sparsity in any ONNX runtime; metadata names the gates.
 *
 * Cost: for each gate one product of C_in·C, and two sorts of C numbers, per image.
 * Source: Gao et al. 2019, FBS, arXiv:1810.05331. Differs: normalization keeps its scale; convolutions of one group with a
 * depthwise one share a gate.
 * Throws: `method.unsuitable` for a model without a site.
 */
export function addGates(source: Model, options: GateOptions = {}, binding: Binding = {}): Model {
  const { analysis, sites } = findGateSites(source, binding);
  const { model } = analysis;
  if (sites.length === 0) {
    const message =
      "gates: a layer whose channels no shortcut, output or normalization of several channels uses, got none; the model cannot have a surrogate";
    throw new LimberError("method.unsuitable", message);
  }
  const { graph } = inferShapes(model, { batch: 1, ...binding });
  const { initial = "neutral" } = options;
  const biasesOf = ({ group, size }: GateSite): Float32Array =>
    initial === "ranked" ? rankedBiases(magnitudesOf(analysis, group)) : new Float32Array(size).fill(1);
  const names = [...graph.nodes.flatMap(({ name, outputs }) => [name, ...outputs]), ...graph.initializers.keys()];
  const emit = new Emitter(model.opsets.get("")!, [...names, ...graph.inputs.map(({ name }) => name)], "gate/");
  const sparsity = emit.value(emit.freshName(SPARSITY), { dtype: "float32", dims: [1] });
  const initializers = new Map<string, Tensor>(graph.initializers);
  const gates: Gate[] = [];
  const nodes = model.graph.nodes.flatMap((node): readonly Node[] => {
    const site = sites.find(({ value }) => value === node.outputs[0]);
    if (!site) return [node];
    const known = (name: string): Val =>
      emit.value(name, graph.types.get(name) ?? graph.inputs.find((input) => input.name === name)!);
    const gated = known(site.value);
    const ungated = emit.freshName(`${site.value}:ungated`);
    const inputs = known(site.source).dims[site.sourceAxis]!;
    const weights = drawWeights(site, inputs, biasesOf(site), options, (base) => emit.freshName(base));
    for (const [name, tensor] of weights) initializers.set(name, tensor);
    const [scores, vector] = writeGate(emit, { site, source: known(site.source), weights, sparsity });
    const others = gated.dims.flatMap((_, i) => (i === 0 || i === site.axis ? [] : [i]));
    const factor = others.length === 0 ? vector : emit.node("Unsqueeze", [vector, emit.ints(others)])[0];
    const product = emit.node("Mul", [{ ...gated, name: ungated }, factor])[0];
    const written = emit.drain().map((each) => renameOutput(each, product.name, site.value));
    const parameters = weights.map(([name]) => name);
    const { group, size, axis, value } = site;
    gates.push({ group, size, axis, value, ungated, scores: scores.name, vector: vector.name, parameters });
    return [renameOutput(node, site.value, ungated), ...written];
  });
  const inputs = [...model.graph.inputs, { name: sparsity.name, dtype: "float32" as const, dims: ["sparsities"] }];
  const metadata = new Map([...model.metadata, [METADATA, JSON.stringify({ sparsity: sparsity.name, gates })]]);
  const gated = { ...model, metadata, graph: { ...model.graph, inputs, nodes, initializers, types: new Map() } };
  checkGraph(gated.graph);
  return gated;
}

const renameOutput = (node: Node, from: string, to: string): Node => ({
  ...node,
  outputs: node.outputs.map((name) => (name === from ? to : name)),
});

type Weights = readonly (readonly [name: string, value: FloatTensor])[];

/** Deviation of a gate's weights, of √(2/inputs). */
const SPREAD = { neutral: 0, he: 1, ranked: 0.02 } as const;

/** Numbers around 1 in the order of the scores, evenly spaced over a tenth. */
function rankedBiases(scores: readonly number[]): Float32Array {
  const order = [...scores.keys()].sort((a, b) => scores[a]! - scores[b]! || b - a);
  const biases = new Float32Array(scores.length);
  order.forEach((unit, rank) => (biases[unit] = 0.95 + (0.1 * (rank + 0.5)) / scores.length));
  return biases;
}

/** The mean L1 norm of what makes each channel of a group. */
function magnitudesOf({ model, groups }: ChannelAnalysis, id: string): readonly number[] {
  const group = groups.find((each) => each.id === id)!;
  const parameters = new Map(parametersOf(model).map((parameter) => [parameter.name, parameter]));
  return CHANNEL_SCORES.l1({ group, parameters, random: new Random(0) }) ?? Array<number>(group.size).fill(0);
}

function drawWeights(
  { group, size }: GateSite,
  inputs: number,
  lastBias: Float32Array,
  { initial = "neutral", reduction, seed = 0 }: GateOptions,
  fresh: (base: string) => string,
): Weights {
  const random = new Random(seed).fork(group);
  const widths = reduction === undefined ? [inputs, size] : [inputs, Math.max(1, Math.floor(size / reduction)), size];
  const base = group.replace(/(?:\.weight)?:.*$/, "");
  return widths.slice(1).flatMap((width, layer) => {
    const from = widths[layer]!;
    const isLast = layer === widths.length - 2;
    const title = `${base}.gate${reduction === undefined ? "" : `.${layer}`}`;
    const deviation = SPREAD[initial] * Math.sqrt(2 / from);
    const data = Float32Array.from({ length: from * width }, () => random.normal(0, deviation));
    return [
      [fresh(`${title}.weight`), { dtype: "float32", dims: [from, width], data }],
      [fresh(`${title}.bias`), { dtype: "float32", dims: [width], data: isLast ? lastBias : new Float32Array(width) }],
    ] satisfies Weights;
  });
}

function writeGate(
  emit: Emitter,
  { site, source, weights, sparsity }: { site: GateSite; source: Val; weights: Weights; sparsity: Val },
): [scores: Val, vector: Val] {
  const axes = source.dims.flatMap((_, i) => (i === 0 || i === site.sourceAxis ? [] : [i]));
  const magnitudes = emit.abs(source);
  let scores = axes.length === 0 ? magnitudes : emit.reduceMean(magnitudes, axes);
  for (let i = 0; i < weights.length; i += 2) {
    const [weight, bias] = weights.slice(i, i + 2).map(([name, tensor]) => emit.value(name, tensor));
    scores = emit.relu(emit.node("Gemm", [scores, weight, bias])[0]);
  }
  return [scores, takeLargest(emit, scores, sparsity)];
}

export interface Gating {
  /** The input that says how much is silenced. */
  readonly sparsity: string;
  readonly gates: readonly Gate[];
}

/** The gates of a model by what its metadata says; none for a model without. Throws: `model.malformed` where that is not so. */
export function gatesOf({ metadata, graph }: Model): Gating {
  const text = metadata.get(METADATA);
  if (text === undefined) return { sparsity: SPARSITY, gates: [] };
  const inputs = graph.inputs.map(({ name }) => name);
  const values = new Set([...inputs, ...graph.nodes.flatMap(({ outputs }) => outputs), ...graph.initializers.keys()]);
  const found = parseGating(text);
  const named = found?.gates.flatMap(({ value, ungated, scores, vector, parameters }) => [
    ...[value, ungated, scores, vector],
    ...parameters,
  ]);
  const missing = named && [found!.sparsity, ...named].find((name) => !values.has(name));
  if (found && missing === undefined) return found;
  const message = `metadata "${METADATA}": the gates of the graph, got ${missing === undefined ? "something else" : `"${missing}", which is not there`}; build the master again`;
  throw new LimberError("model.malformed", message);
}

function parseGating(text: string): Gating | undefined {
  const isText = (value: unknown): boolean => typeof value === "string";
  try {
    const found = JSON.parse(text) as Partial<Gating>;
    const fits = found.gates?.every(({ parameters, size, axis, group, value, ungated, scores, vector }) => {
      const names = [group, value, ungated, scores, vector, ...parameters];
      return names.every(isText) && Number.isInteger(size) && Number.isInteger(axis);
    });
    return fits && isText(found.sparsity) ? (found as Gating) : undefined;
  } catch {
    return undefined;
  }
}

/** The model without its gates: all channels, as if every gate were 1. */
export function removeGates(model: Model): Model {
  const { sparsity, gates } = gatesOf(model);
  const restored = new Map(gates.map(({ value, ungated }) => [ungated, value]));
  const replaced = new Set(restored.values());
  const { graph } = model;
  const nodes = graph.nodes.flatMap((node) => {
    if (node.outputs.some((name) => replaced.has(name))) return [];
    const renamed = node.outputs.map((name) => restored.get(name) ?? name);
    return [{ ...node, outputs: renamed }];
  });
  const metadata = new Map([...model.metadata].filter(([key]) => key !== METADATA));
  const inputs = graph.inputs.filter(({ name }) => name !== sparsity);
  return sweepDead({ ...model, metadata, graph: { ...graph, inputs, nodes, types: new Map() } });
}

/** The gated model at one sparsity, without an input for it: for whatever knows only images. */
export function fixSparsity(model: Model, sparsity: number): Model {
  const { sparsity: name } = gatesOf(model);
  const inputs = model.graph.inputs.filter((input) => input.name !== name);
  const initializers = new Map([...model.graph.initializers, [name, tensorOf("float32", [1], [sparsity])]]);
  return { ...model, graph: { ...model.graph, inputs, initializers } };
}

/** Numbers that gates add to a model. */
export const gateParameters = ({ graph, ...model }: Model): number =>
  gatesOf({ graph, ...model })
    .gates.flatMap(({ parameters }) => parameters)
    .reduce((sum, name) => sum + sizeOf(graph.initializers.get(name)!.dims), 0);
