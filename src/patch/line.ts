import { evaluateTask } from "../adapt/index.js";
import { type LongCall, Random, throwIfAborted } from "../base/index.js";
import { type Model, patchParameters } from "../graph/index.js";
import { type Machine, Predictor, type SessionOptions } from "../run/node.js";
import type { Domain } from "../vision/index.js";
import { bookCourse, forwardMacs } from "./books.js";
import { type EpochBudget, epochsFor, STOP_RULE, type StopRule, targetOf } from "./budget.js";
import { type Course, fineTune } from "./fine-tune.js";
import type { Ledger } from "./ledger.js";
import {
  groupBiases,
  headParameters,
  type HeadScope,
  type Member,
  patchMember,
  weightsFrom,
  weightsOf,
} from "./member.js";
import { observe, type Observation } from "./observe.js";
import { type ModelOrder, orderModels, type Turn } from "./order.js";
import { findNextGroup, groupsFor, orderGroups, type PatchOrder } from "./policy.js";
import { chooseSamples, type Selection, type SelectionOptions } from "./select.js";
import { correlationMacs, similarityMatrix } from "./similarity.js";
import { findStart } from "./start.js";
import { refreshStatistics } from "./statistics.js";
import type { PatchTensors, Start, StartCandidate, StartSource } from "./warm.js";

/** A drift: pictures of the new surroundings that all models of the line see. */
export interface Drift {
  readonly domain: Domain;
  /** Samples to train on. */
  readonly pool: readonly number[];
  /** Samples that tell how good a model is. */
  readonly held: readonly number[];
}

export interface LineOptions extends LongCall, SessionOptions {
  readonly machine: Machine;
  /** How many patches each model gets at first, from 1 to its groups; default 1. */
  readonly count?: ((drift: Drift) => Promise<number>) | number | undefined;
  readonly order?: PatchOrder | undefined;
  /** Whether a patch is added where training rests below the target. Default true. */
  readonly grows?: boolean | undefined;
  readonly models?: ModelOrder | undefined;
  /** Where patches may start besides at nothing. Default: own, parent. */
  readonly starts?: readonly StartSource[] | undefined;
  /** Patches of the library that fit this drift. */
  readonly library?: ((member: Member, drift: Drift) => Promise<readonly StartCandidate[]>) | undefined;
  /** How samples are chosen; null: all train. */
  readonly selection?: SelectionOptions | null | undefined;
  /** Whether normalization layers get statistics of the new pictures first. Default true. Differs: PatchLine keeps the source's. */
  readonly refreshes?: boolean | undefined;
  readonly budget?: EpochBudget | undefined;
  readonly stop?: StopRule | undefined;
  /** Share of the score before the drift that is good enough. Default 0.95. */
  readonly targetShare?: number | undefined;
  /** How much worse than before a patched model may look on the held samples, whose score is an estimate. Default 0.02. */
  readonly tolerance?: number | undefined;
  readonly reduction?: number | undefined;
  readonly heads?: HeadScope | undefined;
  /** Whether scales and biases of the groups with patches train too. Default true. Differs: PatchLine's design has patches alone. */
  readonly biases?: boolean | undefined;
  /** Default 1e-3, and a tenth of it for heads. */
  readonly learningRate?: number | undefined;
  readonly headScale?: number | undefined;
  readonly batchSize?: number | undefined;
  /** Samples that models are compared on. Default 64. */
  readonly compared?: number | undefined;
  readonly cacheBytes?: number | undefined;
  readonly seed?: number | undefined;
  /** Where costs are booked. */
  readonly ledger?: Ledger | undefined;
}

/** What became of one model: every decision, and why. */
export interface Patched {
  /** As it serves from now on. */
  readonly member: Member;
  readonly turn: Turn & { readonly parentName?: string | undefined };
  readonly selection: Selection | undefined;
  readonly start: Start;
  /** Groups with patches: as planned, and at the end. */
  readonly planned: readonly number[];
  readonly groups: readonly number[];
  readonly epochs: number;
  /** One for each number of patches. */
  readonly courses: readonly Course[];
  /** On the held samples. */
  readonly servingScore: number;
  readonly score: number;
  /** False: what served before was no worse, and goes on. */
  readonly accepted: boolean;
}

/**
 * Patches co-running models one after another after a drift: chooses how many patches, the order of the models, where each patch starts,
 * on which samples it trains and for how long; adds patches where these do not do. A model that did not gain goes on as it was.
 *
 * Source: PatchLine. Throws: as `fineTune`.
 */
export async function* patchLine(
  members: readonly Member[],
  drift: Drift,
  options: LineOptions,
): AsyncGenerator<Patched, void, undefined> {
  const { seed = 0, ledger } = options;
  const random = new Random(seed).fork(`line ${drift.domain.name}`);
  const count = typeof options.count === "function" ? await options.count(drift) : (options.count ?? 1);
  const seen = [];
  for (const member of members) seen.push(await look(member, drift, options));
  const features = seen.map(({ features }) => features);
  const likeness = similarityMatrix(features);
  const costs = members.map(({ source, preprocessing }) => forwardMacs(source, preprocessing));
  const turns = orderModels(likeness, { order: options.models, costs, random: random.fork("models") });
  if (members.length > 1) {
    const [macs, compared] = [correlationMacs(features), features[0]!.get(1)?.dims[0] ?? 0];
    ledger?.add({ model: "line", technique: "correlation", macs, seconds: 0, count: compared });
  }
  const done = new Map<number, Member>();
  for (const turn of turns) {
    throwIfAborted(options.signal);
    const place = { turn, likeness: likeness[turn.model]!, done, members, count, random: random.fork(turn.model) };
    const patched = await patchOne(members[turn.model]!, drift, seen[turn.model]!, place, options);
    done.set(turn.model, patched.member);
    yield patched;
  }
}

const sessionOf = ({ threads, optimization }: SessionOptions): SessionOptions => ({ threads, optimization });

interface Place {
  readonly turn: Turn;
  readonly likeness: readonly number[];
  readonly done: ReadonlyMap<number, Member>;
  readonly members: readonly Member[];
  readonly count: number;
  readonly random: Random;
}

async function patchOne(
  member: Member,
  drift: Drift,
  seen: Observation,
  { turn, likeness, done, members, count, random }: Place,
  options: LineOptions,
): Promise<Patched> {
  const { points, head, preprocessing } = member;
  const base = options.refreshes === false ? member : await refresh(member, seen.indices, drift, options);
  const { ledger, batchSize = 32, targetShare = 0.95, grows = true, heads = "biases" } = options;
  const order = orderGroups(
    points.map(({ group }) => group),
    { order: options.order ?? "deepFirst", random: random.fork("groups") },
  );
  const planned = groupsFor(order, count);
  const headNames = headParameters(member, heads);
  const attach = (groups: readonly number[], weights?: PatchTensors): Model =>
    patchMember(base, groups, { reduction: options.reduction, seed: options.seed }, weights);

  const selection = options.selection === null ? undefined : select(seen, batchSize, options.selection);
  const indices = selection ? selection.kept.map((i) => seen.indices[i]!) : seen.indices;
  const along = [...(options.biases === false ? [] : groupBiases(base, planned)), ...headNames];
  const parents = [...done].map(([model, parent]) => ({
    ...{ source: "parent" as const, from: members[model]!.name, similarity: likeness[model]! },
    tensors: weightsFrom(parent, base),
  }));
  const start = await findStart(member, attach(planned), drift, {
    ...{ ...sessionOf(options), machine: options.machine, ledger, along },
    others: [...parents, ...((await options.library?.(member, drift)) ?? [])],
    sources: options.starts ?? ["own", "parent", "library"],
  });
  const epochs = epochsFor(start.similarity, options.budget);

  const target = targetOf(member.before, targetShare);
  const courses: Course[] = [];
  let groups = planned;
  let model = attach(groups, start.tensors);
  for (;;) {
    const biases = options.biases === false ? [] : groupBiases(base, groups);
    const parameters = [...patchParameters(model), ...biases, ...headNames];
    const course = await fineTune(model, drift.domain, {
      machine: options.machine,
      ...sessionOf(options),
      ...{ head, preprocessing, parameters, batchSize, epochs, indices, held: drift.held },
      scale: new Map([...biases, ...headNames].map((each) => [each, options.headScale ?? 0.1])),
      learningRate: options.learningRate ?? 1e-3,
      stop: options.stop ?? STOP_RULE,
      ...{ cacheBytes: options.cacheBytes, seed: options.seed, signal: options.signal, onProgress: options.onProgress },
    });
    courses.push(course);
    bookCourse(ledger, member, model, parameters, course);
    model = course.model;
    const best = course.scores[course.best]!.value;
    const next = grows ? findNextGroup(order, groups, { reason: course.reason, best, target }) : undefined;
    if (next === undefined) break;
    groups = [...groups, next].sort((a, b) => a - b);
    model = attach(groups, weightsOf(model, parameters));
  }
  const last = courses.at(-1)!;
  const score = last.scores[last.best]!.value;
  const servingScore = await scoreServing(member, drift, options);
  const accepted = score >= servingScore - (options.tolerance ?? 0.02);
  return {
    member: accepted ? { ...member, serving: model } : member,
    turn: { ...turn, ...(turn.parent !== undefined && { parentName: members[turn.parent]!.name }) },
    ...{ selection, start, planned, groups, epochs, courses, servingScore, score, accepted },
  };
}

/** The member with statistics of the new pictures; all patches then stand on those. */
async function refresh(
  member: Member,
  indices: readonly number[],
  { domain }: Drift,
  options: LineOptions,
): Promise<Member> {
  const { machine, ledger, batchSize = 32, signal } = options;
  const { name, source, preprocessing } = member;
  const { model, images, ms } = await refreshStatistics(source, domain, {
    ...{ ...sessionOf(options), machine, preprocessing, batchSize, indices, signal },
  });
  const macs = images * forwardMacs(source, preprocessing);
  ledger?.add({ model: name, technique: "statistics", macs, seconds: ms / 1000, count: images });
  return { ...member, source: model };
}

/** What inference tells of the pool; it would run anyway. */
function look(member: Member, { domain, pool }: Drift, options: LineOptions): Promise<Observation> {
  const { machine, batchSize = 32, compared = 64 } = options;
  const { head, preprocessing, points } = member;
  return observe(member.serving, domain, pool, {
    ...{ ...sessionOf(options), machine, head, preprocessing, points, batchSize, featured: compared },
  });
}

const select = (seen: Observation, batchSize: number, options: SelectionOptions = {}): Selection =>
  chooseSamples(seen.uncertainty, { least: 2 * batchSize, ...options });

/** What serves now, on the held samples; it would run anyway. */
async function scoreServing(
  { serving, head, preprocessing }: Member,
  { domain, held }: Drift,
  options: LineOptions,
): Promise<number> {
  const { machine, batchSize = 32 } = options;
  const predictor = await Predictor.create(machine, serving, sessionOf(options));
  const { value } = await evaluateTask(predictor, head, domain, { indices: held, preprocessing, batchSize });
  await predictor.dispose();
  return value;
}
