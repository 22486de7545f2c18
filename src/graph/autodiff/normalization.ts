import { invariant, LimberError } from "../../base/index.js";
import { attr, attributesOf, descendantsOf, type Graph, type Node } from "../ir/index.js";
import { type Emitter, type Val } from "../ops/index.js";

/**
 * Which mean and variance BatchNormalization uses in a step.
 * "fixed": the stored ones. `batch`: those of the batch, mixed with the stored ones by `sourceWeight` p in [0, 1]:
 * μ = p·μ_s + (1-p)·μ_t, σ² = p·σ_s² + (1-p)·σ_t².
 */
export type Statistics = "fixed" | BatchStatistics;
export interface BatchStatistics {
  readonly sourceWeight: number;
  /** Which variance of the batch is mixed or tracked; a pure batch normalizes by the biased one always. */
  readonly variance: "unbiased" | "biased";
  /**
   * Which layers: every one (default), or those that a trained parameter reaches. Frozen layers in front then keep the
   * stored statistics, as frozen modules in evaluation mode do, and their activations do not change from step to step.
   */
  readonly layers?: "all" | "trained";
}

/** The normalizations that use statistics of the batch when `trained` are the initializers that train. */
export function findBatchNormalized(graph: Graph, statistics: Statistics, trained: readonly string[]): Set<Node> {
  if (statistics === "fixed") return new Set();
  const reached = descendantsOf(graph, trained);
  const isWanted = (node: Node): boolean => statistics.layers !== "trained" || reached.has(node.outputs[0]!);
  return new Set(graph.nodes.filter((n) => n.op === "BatchNormalization" && n.inputs.length === 5 && isWanted(n)));
}

/** The statistics that one normalization used in this step. Shapes: [C]. */
export interface UsedStatistics {
  readonly node: string;
  /** Inputs of the step that continue the stored statistics. */
  readonly tracked: { readonly mean: Val; readonly variance: Val };
  readonly used: { readonly mean: Val; readonly variance: Val };
}

/**
 * Rewrites inference BatchNormalizations (`findBatchNormalized`) to the wanted statistics, outputs keeping their names.
 *
 * p = 0 becomes the training form of the op; other p compute the target statistics in the graph, then normalize with the
 * mixture, so that gradients flow through both.
 * Source: Nado et al. 2020, arXiv:2006.10963; Schneider et al. 2020, arXiv:2006.16971, eq. 3 (unbiased target variance).
 * Throws: `shape.mismatch` when a channel has a single value, so that it has no variance.
 */
export function normalizeWithBatch(
  graph: Graph,
  options: BatchStatistics,
  chosen: ReadonlySet<Node>,
  emit: Emitter,
  track: Track,
): { graph: Graph; statistics: UsedStatistics[] } {
  const statistics: UsedStatistics[] = [];
  const nodes = graph.nodes.flatMap((node) => {
    if (!chosen.has(node)) return [node];
    const rewritten = rewrite(graph, node, options, emit, track);
    statistics.push(rewritten.statistics);
    return [...rewritten.before, rewritten.node, ...rewritten.after];
  });
  return { graph: { ...graph, nodes, types: new Map([...graph.types, ...emit.types]) }, statistics };
}

/** Makes the input of the step that continues a stored statistic, given by the name of its initializer. */
export type Track = (name: string) => Val;

function rewrite(
  graph: Graph,
  node: Node,
  { sourceWeight, variance }: BatchStatistics,
  emit: Emitter,
  track: Track,
): { before: Node[]; node: Node; after: Node[]; statistics: UsedStatistics } {
  const value = (name: string): Val => {
    const constant = graph.initializers.get(name);
    const type = constant ?? graph.types.get(name) ?? graph.inputs.find((v) => v.name === name);
    invariant(type, `no type for "${name}"`);
    return emit.value(name, type);
  };
  const [x, scale, bias, mean, stored] = node.inputs.map(value) as [Val, Val, Val, Val, Val];
  const count = x.dims.reduce((n, d) => n * d, 1) / x.dims[1]!;
  if (count < 2) {
    const message = `BatchNormalization "${node.name}": 2 or more values per channel for batch statistics, got ${count}; use a larger batch`;
    throw new LimberError("shape.mismatch", message, { node: node.name, count });
  }
  const correction = variance === "unbiased" ? count / (count - 1) : 1;
  const epsilon = attributesOf(node).float("epsilon", 1e-5);
  const mix = (source: Val, target: Val): Val =>
    sourceWeight === 0 ? target : emit.add(emit.mul(source, sourceWeight), emit.mul(target, 1 - sourceWeight));

  const tracked = { mean: track(mean.name), variance: track(stored.name) };
  if (sourceWeight === 0) {
    // In this mode ONNX Runtime may write the batch statistics over inputs 3 and 4, so each node needs its own. Products of
    // inputs of the step are neither folded to constants nor merged, as those of equal weights would be
    // (https://github.com/microsoft/onnxruntime, batch_norm.h: Alias(3, 1), Alias(4, 2)).
    const scratch = [tracked.mean, tracked.variance].map((v) => emit.mul(v, 0).name);
    const before = emit.drain();
    const outputs = [node.outputs[0]!, emit.freshName(`${node.name}:mean`), emit.freshName(`${node.name}:variance`)];
    const batch = outputs.slice(1).map((name) => emit.value(name, mean)) as [Val, Val];
    for (const output of outputs.slice(1)) emit.types.set(output, mean);
    const attributes = { epsilon: attr.float(epsilon), momentum: attr.float(0), training_mode: attr.int(1) };
    const used = { mean: batch[0], variance: emit.mul(batch[1], correction) };
    const training = { ...node, inputs: [x.name, scale.name, bias.name, ...scratch], outputs, attributes };
    return { before, node: training, after: emit.drain(), statistics: { node: node.name, tracked, used } };
  }
  const axes = x.dims.flatMap((_, i) => (i === 1 ? [] : [i]));
  const targetMean = emit.reduceMean(x, axes);
  const centred = emit.sub(x, emit.perChannel(targetMean, x.dims.length));
  const targetVariance = emit.mul(emit.reduceMean(emit.mul(centred, centred), axes), correction);
  const used = { mean: mix(mean, targetMean), variance: mix(stored, targetVariance) };
  const inputs = [x.name, scale.name, bias.name, used.mean.name, used.variance.name];
  return {
    before: emit.drain(),
    node: { ...node, inputs },
    after: [],
    statistics: { node: node.name, tracked, used },
  };
}
