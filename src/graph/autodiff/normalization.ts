import { invariant, LimberError, scalar, type Tensor, zeros } from "../../base/index.js";
import { attr, attributesOf, descendantsOf, type Graph, type Node } from "../ir/index.js";
import type { Emitter, Val } from "../ops/index.js";
import type { Carried } from "./losses.js";

/**
 * Which mean and variance BatchNormalization uses in a step.
 * "fixed": the stored ones. `BatchStatistics`: those of the batch, mixed with a source by `sourceWeight` p in [0, 1]:
 * μ = p·μ_s + (1-p)·μ_t, σ² = p·σ_s² + (1-p)·σ_t². `RenormalizedStatistics`: a moving average over the batches.
 */
export type Statistics = "fixed" | BatchStatistics | RenormalizedStatistics;

interface Layers {
  /**
   * Which layers: every one (default), or those that a trained parameter reaches. Frozen layers in front then keep the
   * stored statistics, as frozen modules in evaluation mode do, and their activations do not change from step to step.
   */
  readonly layers?: "all" | "trained";
}

export interface BatchStatistics extends Layers {
  readonly sourceWeight: number;
  /** Which variance of the batch is mixed or tracked; a pure batch normalizes by the biased one always. */
  readonly variance: "unbiased" | "biased";
  /**
   * What the batch is mixed with: what is stored in the model (default), or the mixture of the step before, which makes it a
   * moving average (RobustBN: Yuan et al. 2023, arXiv:2303.13899). Without a momentum of the step then: the mixture is tracked.
   */
  readonly source?: "stored" | "tracked";
}

/**
 * Batch renormalization against moving averages, m ← p·m + (1-p)·m_b for mean and deviation, which begin at the first batch:
 * y = γ·((x-μ_b)/σ_b·r + d) + β, r = σ_b/σ̂ and d = (μ_b-μ̂)/σ̂ being constants to the gradient.
 * Source: DELTA, Zhao et al. 2023, arXiv:2301.13018, §3.1; unclamped, as the authors' code.
 */
export interface RenormalizedStatistics extends Layers {
  /** p, the weight of the past. */
  readonly renormalize: number;
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
  /** What was used becomes what is tracked, whatever the momentum of the step. */
  readonly replaces?: boolean;
}

/** What the rewriting asks of the step that it is for. */
export interface StatisticsHost {
  readonly emit: Emitter;
  /** Makes the input of the step that continues a stored statistic, given by the name of its initializer. */
  track(name: string): Val;
  /** An array that goes along from step to step. */
  carry(name: string, initial: Tensor): Carried;
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
  options: BatchStatistics | RenormalizedStatistics,
  chosen: ReadonlySet<Node>,
  host: StatisticsHost,
): { graph: Graph; statistics: UsedStatistics[] } {
  const statistics: UsedStatistics[] = [];
  const rewrite = "renormalize" in options ? createRenormalizer(options, host) : createMixer(options, host);
  const nodes = graph.nodes.flatMap((node) => {
    if (!chosen.has(node)) return [node];
    const layer = layerOf(graph, node, host);
    const { nodes: written, ...used } = rewrite(layer);
    statistics.push({ node: node.name, tracked: layer.tracked, ...used });
    return written;
  });
  return { graph: { ...graph, nodes, types: new Map([...graph.types, ...host.emit.types]) }, statistics };
}

/** One normalization and its operands. */
interface Layer {
  readonly node: Node;
  readonly x: Val;
  readonly scale: Val;
  readonly bias: Val;
  readonly stored: { readonly mean: Val; readonly variance: Val };
  readonly tracked: { readonly mean: Val; readonly variance: Val };
  readonly epsilon: number;
  /** Values per channel in a batch. */
  readonly count: number;
}

/** The nodes that take the place of a normalization, in order, and what it normalizes with. */
type Rewritten = { readonly nodes: readonly Node[] } & Pick<UsedStatistics, "used" | "replaces">;

/** Throws: `shape.mismatch` when a channel has a single value, so that it has no variance. */
function layerOf(graph: Graph, node: Node, host: StatisticsHost): Layer {
  const { emit } = host;
  const value = (name: string): Val => {
    const constant = graph.initializers.get(name);
    const type = constant ?? graph.types.get(name) ?? graph.inputs.find((v) => v.name === name);
    invariant(type, `no type for "${name}"`);
    return emit.value(name, type);
  };
  const [x, scale, bias, mean, variance] = node.inputs.map(value) as [Val, Val, Val, Val, Val];
  const count = x.dims.reduce((n, d) => n * d, 1) / x.dims[1]!;
  if (count < 2) {
    const message = `BatchNormalization "${node.name}": 2 or more values per channel for batch statistics, got ${count}; use a larger batch`;
    throw new LimberError("shape.mismatch", message, { node: node.name, count });
  }
  const tracked = { mean: host.track(mean.name), variance: host.track(variance.name) };
  const epsilon = attributesOf(node).float("epsilon", 1e-5);
  return { node, x, scale, bias, stored: { mean, variance }, tracked, epsilon, count };
}

const createMixer =
  ({ sourceWeight, variance, source }: BatchStatistics, { emit }: StatisticsHost) =>
  (layer: Layer): Rewritten => {
    const { node, x, scale, bias, count, tracked } = layer;
    const correction = variance === "unbiased" ? count / (count - 1) : 1;
    const replaces = source === "tracked";
    if (sourceWeight === 0) {
      const batch = normalizeBatch(layer, emit, [scale, bias], node.outputs[0]!);
      const used = { ...batch.used, variance: emit.mul(batch.used.variance, correction) };
      return { nodes: [...batch.nodes, ...emit.drain()], used, replaces };
    }
    const from = replaces ? tracked : layer.stored;
    const mix = (past: Val, now: Val): Val => emit.add(emit.mul(past, sourceWeight), emit.mul(now, 1 - sourceWeight));
    const axes = x.dims.flatMap((_, i) => (i === 1 ? [] : [i]));
    const mean = emit.reduceMean(x, axes);
    const centred = emit.sub(x, emit.perChannel(mean, x.dims.length));
    const targetVariance = emit.mul(emit.reduceMean(emit.mul(centred, centred), axes), correction);
    const used = { mean: mix(from.mean, mean), variance: mix(from.variance, targetVariance) };
    const inputs = [x.name, scale.name, bias.name, used.mean.name, used.variance.name];
    return { nodes: [...emit.drain(), { ...node, inputs }], used, replaces };
  };

/**
 * The training form of the op, and the biased statistics of the batch that it gives.
 *
 * In this mode ONNX Runtime may write the batch statistics over inputs 3 and 4, so each node needs its own. Products of
 * inputs of the step are neither folded to constants nor merged, as those of equal weights would be
 * (https://github.com/microsoft/onnxruntime, batch_norm.h: Alias(3, 1), Alias(4, 2)).
 */
function normalizeBatch(
  { node, x, tracked, stored, epsilon }: Layer,
  emit: Emitter,
  [scale, bias]: readonly [Val, Val],
  output: string,
): Pick<Rewritten, "nodes" | "used"> {
  const scratch = [tracked.mean, tracked.variance].map((v) => emit.mul(v, 0).name);
  const outputs = [output, emit.freshName(`${node.name}:mean`), emit.freshName(`${node.name}:variance`)];
  const [mean, variance] = outputs.slice(1).map((name) => emit.value(name, stored.mean)) as [Val, Val];
  for (const name of outputs.slice(1)) emit.types.set(name, stored.mean);
  const attributes = { epsilon: attr.float(epsilon), momentum: attr.float(0), training_mode: attr.int(1) };
  const training = { ...node, inputs: [x.name, scale.name, bias.name, ...scratch], outputs, attributes };
  return { nodes: [...emit.drain(), training], used: { mean, variance } };
}

function createRenormalizer({ renormalize: past }: RenormalizedStatistics, host: StatisticsHost) {
  const { emit } = host;
  let seen: Val | undefined;
  return (layer: Layer): Rewritten => {
    const { node, x, scale, bias, epsilon } = layer;
    const like = layer.stored.mean;
    const zero = zeros(like.dtype, like.dims);
    if (!seen) {
      const flag = host.carry("renormalization:seen", scalar(like.dtype, 0));
      flag.next(emit.max(flag.before, 1));
      seen = flag.before;
    }
    const plain = emit.freshName(`${node.outputs[0]!}:normalized`);
    emit.types.set(plain, x);
    const unit = [1, 0].map((v) => emit.expand(emit.reshape(emit.scalar(v, like), [1]), like.dims)) as [Val, Val];
    const batch = normalizeBatch(layer, emit, unit, plain);
    const [mean, deviation] = [batch.used.mean, emit.sqrt(emit.add(batch.used.variance, epsilon))].map(
      emit.detach,
      emit,
    );
    // Exactly the batch's own where nothing was seen, exactly the average where something was.
    const average = (kind: string, now: Val): Val => {
      const moving = host.carry(`${node.name}:${kind}`, zero);
      const used = emit.add(emit.mul(moving.before, seen!), emit.mul(now, emit.sub(emit.scalar(1, now), seen!)));
      moving.next(emit.add(emit.mul(used, past), emit.mul(now, 1 - past)));
      return used;
    };
    const [averageMean, averageDeviation] = [average("mean", mean!), average("deviation", deviation!)];
    const stretch = emit.mul(scale, emit.div(deviation!, averageDeviation));
    const shift = emit.add(emit.mul(scale, emit.div(emit.sub(mean!, averageMean), averageDeviation)), bias);
    const rank = x.dims.length;
    const result = emit.add(
      emit.mul(emit.value(plain, x), emit.perChannel(stretch, rank)),
      emit.perChannel(shift, rank),
    );
    const used = { mean: averageMean, variance: emit.sub(emit.mul(averageDeviation, averageDeviation), epsilon) };
    const after = emit.drain().map((n) => (n.outputs[0] === result.name ? { ...n, outputs: node.outputs } : n));
    return { nodes: [...batch.nodes, ...after], used };
  };
}
