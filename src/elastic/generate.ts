import { invariant, LimberError, Random, sizeOf, type StopSignal, throwIfAborted } from "../base/index.js";
import {
  type Choice,
  choose,
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
import type { Machine, RunTensor, SessionOptions } from "../run/node.js";
import { probe, type ProbeOptions, rowsOf } from "./probe.js";
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
  /** How far surrogate and master are apart on the representative image, relative to the largest output (at least 1). */
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
  const asked = await askMaster(level, images, { ...options, sparsity, representative, random });
  const ranking = await RANKINGS[relevance]({ master: level, cutter, images, asked, options });
  const choice = choose(asked.scores, sparsity, { ranking: inverse ? negate(ranking) : ranking, boosted: true });
  const probed = performance.now();
  const isCached = cutter.knows(choice);
  const reused = last && reuseFilters(level, last);
  const surrogate = cutter.cut(reused?.master ?? level, reused ? keepBoosts(choice, reused.boosts) : choice);
  const cut = performance.now();
  const isExact = relevance === "gates" && !inverse && !last && asked.representatives.length === 1;
  const difference = isExact ? await compare(asked, surrogate, images, options) : undefined;
  return {
    ...{ surrogate, representatives: asked.representatives, difference, isCached },
    ...{ probeMs: probed - started, cutMs: cut - probed, checkMs: performance.now() - cut },
  };
}

/** What the master says about a batch. */
interface Asked {
  readonly prediction: RunTensor;
  readonly representatives: readonly number[];
  /** What the gates say about the representatives, by group. */
  readonly scores: Scores;
  /** Mean magnitude of each channel in front of its gate, by group. */
  readonly activations: Scores;
}

async function askMaster(
  master: Model,
  images: RunTensor,
  { representative, random, ...options }: ProbeOptions & { representative: Representative; random: Random },
): Promise<Asked> {
  const { gates } = gatesOf(master);
  const values = gates.flatMap(({ scores, ungated }) => [scores, ungated]);
  const { prediction, values: shown } = await probe(master, images, { ...options, values });
  const scores = gates.map((gate) => shown[gate.scores]!);
  const representatives = pickRepresentatives(representative, { prediction, scores, random });
  const meanOf = (rows: readonly Float32Array[]): Float32Array =>
    Float32Array.from(rows[0]!, (_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);
  const byGroup = (of: (gate: Gate, index: number) => Float32Array): Scores =>
    Object.fromEntries(gates.map((gate, i) => [gate.group, of(gate, i)]));
  return {
    ...{ prediction, representatives },
    scores: byGroup((_, i) => {
      const rows = rowsOf(scores[i]!);
      return meanOf(representatives.map((row) => rows[row]!));
    }),
    activations: byGroup(({ ungated, axis }) => magnitudesOf(shown[ungated]!, axis)),
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
  readonly options: GenerateOptions;
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
  { prediction, representatives }: Asked,
  { model }: Surrogate,
  images: RunTensor,
  options: GenerateOptions,
): Promise<number> {
  const row = representatives[0]!;
  const image = { ...images, dims: [1, ...images.dims.slice(1)], data: rowsOf(images)[row]!.slice() };
  const { prediction: got } = await probe(foldBoosts(model), image, options);
  const [expected, found] = [rowsOf(prediction)[row]!, got.data as Float32Array];
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i]!) / scale), 0);
  invariant(difference <= TOLERANCE, `surrogate within ${TOLERANCE} of its master, got ${difference}`);
  return difference;
}
