import { invariant, LimberError, Random, sizeOf, type StopSignal, throwIfAborted } from "../base/index.js";
import {
  type Choice,
  choose,
  fixSparsity,
  foldBoosts,
  type Gate,
  gatesOf,
  type Loss,
  type Model,
  openMaster,
  reuseFilters,
  type Scores,
  selectStatistics,
  type Surrogate,
  type SurrogateCutter,
} from "../graph/index.js";
import { KeptTrainers, type Machine, type RunTensor, type SessionOptions } from "../run/node.js";
import { probe, rowsOf } from "./probe.js";
import { pickRepresentatives, type Representative } from "./representative.js";
import { measureSensitivity } from "./sensitivity.js";

/**
 * What says how much a channel matters to a batch of images. `gates` is ElasticDNN's, and needs trained gates to be of use; without
 * them: the mean magnitude of the channel (`activation`), how much the entropy of the predictions asks it to change (`gradient`), or
 * the size of its weights, whatever the images (`l1`).
 */
export const RELEVANCES = ["gates", "activation", "gradient", "l1", "random"] as const;
export type Relevance = (typeof RELEVANCES)[number];

export interface GenerateOptions extends SessionOptions {
  readonly machine: Machine;
  /** Where compiled models are kept for the next domain; default: nowhere. */
  readonly trainers?: KeptTrainers | undefined;
  /** Share of the channels of each gate that is left out. Default 0.8. */
  readonly sparsity?: number | undefined;
  readonly relevance?: Relevance | undefined;
  /** Whose gates decide. Default `entropy`. */
  readonly representative?: Representative | undefined;
  /** Keeps the least relevant channels instead: an ablation. */
  readonly inverse?: boolean | undefined;
  /** The last surrogate, as trained: filters that come again go on from where they stood there. */
  readonly last?: { readonly surrogate: Surrogate; readonly trained: Model } | undefined;
  readonly loss?: Loss | undefined;
  readonly seed?: number | undefined;
  readonly signal?: StopSignal | undefined;
}

export interface Generated {
  readonly surrogate: Surrogate;
  /** The images that decided, by place in the batch; none where images do not matter. */
  readonly representatives: readonly number[];
  /** How far surrogate and master are apart on the representative image, relative to the largest number of the output (at least 1). */
  readonly difference: number | undefined;
  /** Whether this choice was cut before. */
  readonly isCached: boolean;
  /** Running the master (loading it included), cutting, comparing. Units: milliseconds. */
  readonly probeMs: number;
  readonly cutMs: number;
  readonly checkMs: number;
}

/** The largest difference between surrogate and master on the image that chose its filters. */
const TOLERANCE = 1e-4;

/**
 * Makes the small dense model for the images of a batch: asks the master which channels matter to them, cuts the others away, and checks
 * that it computes what the master computes for the image that decided.
 *
 * Source: ElasticDNN, TC 2024, surrogate generation; representative image by maximum entropy as in the authors' code.
 * Throws: `data.invalid`, `internal` where surrogate and master differ, `config.invalid`.
 */
export async function generateSurrogate(
  master: Model,
  cutter: SurrogateCutter,
  images: RunTensor,
  options: GenerateOptions,
): Promise<Generated> {
  const { sparsity = 0.8, relevance = "gates", representative = "entropy", inverse = false, last } = options;
  if (!(sparsity >= 0 && sparsity < 1))
    throw new LimberError("config.invalid", `sparsity: a share in [0, 1), got ${sparsity}`);
  throwIfAborted(options.signal);
  const started = performance.now();
  const random = new Random(options.seed ?? 0).fork("surrogate");
  const level = selectStatistics(master, sparsity);
  await using own = new KeptTrainers(options.machine);
  const running = { ...options, trainers: options.trainers ?? own };
  const asked = await askMaster(level, images, { ...running, sparsity, relevance, representative, random });
  const ranking = await RANKINGS[relevance]({ master: level, cutter, images, asked, options: running });
  const choice = choose(asked.scores, sparsity, { ranking: inverse ? negate(ranking) : ranking, boosted: true });
  const probed = performance.now();
  const isCached = cutter.knows(choice);
  const reused = last && reuseFilters(level, last);
  const surrogate = cutter.cut(reused?.master ?? level, reused ? keepBoosts(choice, reused.boosts) : choice);
  const cut = performance.now();
  const isExact = relevance === "gates" && !inverse && !last && asked.representatives.length === 1;
  const difference = isExact ? await compare(asked, surrogate, images, running) : undefined;
  return {
    ...{ surrogate, representatives: asked.representatives, difference, isCached },
    ...{ probeMs: probed - started, cutMs: cut - probed, checkMs: performance.now() - cut },
  };
}

type Running = GenerateOptions & { readonly trainers: KeptTrainers };

/** What the master says about a batch. */
interface Asked {
  readonly prediction: RunTensor;
  /** Further outputs, such as those of a detector. */
  readonly others: readonly RunTensor[];
  readonly representatives: readonly number[];
  /** What the gates say about the representatives, by group. */
  readonly scores: Scores;
  /** Mean magnitude of each channel in front of its gate, by group; where it is what decides. */
  readonly activations: Scores;
}

async function askMaster(
  master: Model,
  images: RunTensor,
  options: Running & { sparsity: number; relevance: Relevance; representative: Representative; random: Random },
): Promise<Asked> {
  const { sparsity, relevance, representative, random } = options;
  const { gates } = gatesOf(master);
  const seen = relevance === "activation" ? gates : [];
  const further = master.graph.outputs.slice(1).map(({ name }) => name);
  const values = [...gates.map(({ scores }) => scores), ...seen.map(({ ungated }) => ungated), ...further];
  const { prediction, observed: shown } = await probe(fixSparsity(master, sparsity), images, { ...options, values });
  const scores = gates.map((gate) => shown[gate.scores]!);
  const representatives = pickRepresentatives(representative, { prediction, scores, random });
  const meanOf = (rows: readonly Float32Array[]): Float32Array =>
    Float32Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
  const byGroup = (list: readonly Gate[], of: (gate: Gate, index: number) => Float32Array): Scores =>
    Object.fromEntries(list.map((gate, i) => [gate.group, of(gate, i)]));
  return {
    ...{ prediction, representatives, others: further.map((name) => shown[name]!) },
    scores: byGroup(gates, (_, i) => {
      const rows = rowsOf(scores[i]!);
      return meanOf(representatives.map((row) => rows[row]!));
    }),
    activations: byGroup(seen, ({ ungated, axis }) => magnitudesOf(shown[ungated]!, axis)),
  };
}

function magnitudesOf({ data, dims }: RunTensor, axis: number): Float32Array {
  const sums = new Float32Array(dims[axis]!);
  const inner = sizeOf(dims.slice(axis + 1));
  (data as Float32Array).forEach((value, i) => (sums[Math.floor(i / inner) % sums.length]! += Math.abs(value)));
  return sums.map((sum) => (sum * sums.length) / data.length);
}

interface RankingContext {
  /** With the statistics of the sparsity. */
  readonly master: Model;
  readonly cutter: SurrogateCutter;
  readonly images: RunTensor;
  readonly asked: Asked;
  readonly options: Running;
}

const RANKINGS: Readonly<Record<Relevance, (context: RankingContext) => Scores | Promise<Scores>>> = {
  gates: ({ asked }) => asked.scores,
  activation: ({ asked }) => asked.activations,
  gradient: ({ master, cutter, images, options }) =>
    measureSensitivity(openMaster(master, 0), cutter.filters, images, options),
  l1: ({ master, cutter }) => cutter.scoresBy(master, "l1"),
  random: ({ master, cutter, options }) => cutter.scoresBy(master, "random", options.seed),
};

const negate = (scores: Scores): Scores =>
  Object.fromEntries(Object.entries(scores).map(([group, values]) => [group, Float32Array.from(values, (v) => -v)]));

/** The choice with the factors that the last surrogate had come to for the channels that it shares. */
function keepBoosts(choice: Choice, learnt: Readonly<Record<string, ReadonlyMap<number, number>>>): Choice {
  const boosts = Object.entries(choice.boosts ?? {}).map(([group, factors]) => {
    const units = choice.kept[group]!;
    return [group, factors.map((factor, i) => learnt[group]?.get(units[i]!) ?? factor)] as const;
  });
  return { ...choice, boosts: Object.fromEntries(boosts) };
}

/** Throws: `internal` where the surrogate is not what the master computes for its image. */
async function compare(
  { prediction, others, representatives }: Asked,
  { model }: Surrogate,
  images: RunTensor,
  options: Running,
): Promise<number> {
  const row = representatives[0]!;
  const image = { ...images, dims: [1, ...images.dims.slice(1)], data: rowsOf(images)[row]!.slice() };
  const values = model.graph.outputs.slice(1).map(({ name }) => name);
  const { prediction: first, observed } = await probe(foldBoosts(model), image, { ...options, values });
  const found = [first, ...values.map((name) => observed[name]!)];
  const differences = [prediction, ...others].map((whole, i) => {
    const [expected, got] = [rowsOf(whole)[row]!, found[i]!.data as Float32Array];
    const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    return expected.reduce((most, value, at) => Math.max(most, Math.abs(value - got[at]!) / scale), 0);
  });
  const difference = Math.max(...differences);
  invariant(difference <= TOLERANCE, `surrogate within ${TOLERANCE} of its master, got ${difference}`);
  return difference;
}
