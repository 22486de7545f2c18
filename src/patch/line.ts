import { evaluateTask } from "../adapt/index.js";
import { type LongCall, Random, throwIfAborted } from "../base/index.js";
import { attachPatches, detachPatches, type Model, type PatchOptions, patchParameters } from "../graph/index.js";
import { type Machine, Predictor, type SessionOptions } from "../run/node.js";
import type { Domain } from "../vision/index.js";
import { bookCourse, forwardMacs } from "./books.js";
import { type EpochBudget, epochsFor, STOP_RULE, type StopRule, targetOf } from "./budget.js";
import { type Course, fineTune } from "./fine-tune.js";
import { findKnown, remember } from "./known.js";
import type { Ledger } from "./ledger.js";
import type { PatchLibrary } from "./library.js";
import {
  formFor,
  groupBiases,
  headParameters,
  type HeadScope,
  type Member,
  patchMember,
  weightsFrom,
  withWeights,
} from "./member.js";
import { observe, type Observation } from "./observe.js";
import { type ModelOrder, orderModels, type Turn } from "./order.js";
import { findNextGroup, groupsFor, orderGroups, type PatchOrder } from "./policy.js";
import { chooseSamples, type Selection, type SelectionOptions } from "./select.js";
import { correlationMacs, similarityMatrix } from "./similarity.js";
import { wideRates } from "./rates.js";
import { findStart } from "./start.js";
import { refreshStatistics, scoreByBatch } from "./statistics.js";
import type { Start, StartSource } from "./warm.js";

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
  /** Share of the epochs, the last ones, in which all patches but the first of the order rest: gradients end at that. Default 0. */
  readonly rests?: number | undefined;
  /** Whether a patch is added where training rests below the target. Default true. */
  readonly grows?: boolean | undefined;
  readonly models?: ModelOrder | undefined;
  /** Where patches may start besides at nothing. Default: own, parent, library. */
  readonly starts?: readonly StartSource[] | undefined;
  /** Past patches: one of a domain that looked alike may serve again, and what is accepted joins them. */
  readonly library?: PatchLibrary | undefined;
  /** How samples are chosen; null: all train. */
  readonly selection?: SelectionOptions | null | undefined;
  /** Whether normalization layers get statistics of the new pictures first. Default true. Differs: PatchLine keeps the source's. */
  readonly refreshes?: boolean | undefined;
  readonly budget?: EpochBudget | undefined;
  readonly stop?: StopRule | undefined;
  /** Epochs after which the held samples are asked, besides before the first and after the last. Default 1. */
  readonly measureEvery?: number | undefined;
  /** Which model a course leaves; `last` where the held samples are not labelled by one who knows. Default `best`. */
  readonly keeps?: "best" | "last" | undefined;
  /** Share of the score before the drift that is good enough. Default 0.95. */
  readonly targetShare?: number | undefined;
  /** How much worse than before a patched model may look on the held samples, whose score is an estimate. Default 0.02. */
  readonly tolerance?: number | undefined;
  /** What patches are made of. Default form: see `formFor`. */
  readonly patch?: Pick<PatchOptions, "form" | "reduction" | "kernel" | "rank"> | undefined;
  readonly heads?: HeadScope | undefined;
  /** Whether scales and biases of the groups with patches train too. Default true. Differs: PatchLine's design has patches alone. */
  readonly biases?: boolean | undefined;
  /** Default 1e-3, and a tenth of it for heads. */
  readonly learningRate?: number | undefined;
  readonly headScale?: number | undefined;
  /** Default: that of heads. */
  readonly biasScale?: number | undefined;
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
  /** Undefined where all train. */
  readonly selection: Selection | undefined;
  /** How many samples train. */
  readonly samples: number;
  readonly start: Start;
  /** Groups with patches: as planned, and at the end; none where statistics alone reached the target, or did better. */
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
  const { ledger, library, batchSize = 32, targetShare = 0.95, tolerance = 0.02, grows = true } = options;
  const order = orderGroups(
    points.map(({ group }) => group),
    { order: options.order ?? "deepFirst", random: random.fork("groups") },
  );
  const planned = groupsFor(order, count);
  const headNames = headParameters(member, options.heads ?? "biases");
  const alongOf = (groups: readonly number[]): string[] => [
    ...(options.biases === false ? [] : groupBiases(member, groups)),
    ...headNames,
  ];
  const shape = { form: formFor(member.source), ...options.patch, seed: options.seed };
  const fresh = patchMember(member, planned, shape);
  const wide = wideRates(attachPatches(member.source, points, shape));

  const selection = options.selection === null ? undefined : select(seen, batchSize, options.selection);
  const indices = selection ? selection.kept.map((i) => seen.indices[i]!) : seen.indices;
  const parents = [...done].map(([model, parent]) => ({
    ...{ source: "parent" as const, from: members[model]!.name, similarity: likeness[model]! },
    tensors: weightsFrom(parent, member),
  }));
  const known = library && (await findKnown(library, member, seen.looks));
  const measuresAnew = options.refreshes !== false;
  const start = await findStart(member, fresh, drift, {
    ...{ ...sessionOf(options), machine: options.machine, ledger, along: alongOf(planned) },
    statistics: measuresAnew ? { sourceWeight: 0, variance: "unbiased" } : "fixed",
    others: [...parents, ...(known ? [known.candidate] : [])],
    sources: options.starts ?? ["own", "parent", "library"],
  });
  const epochs = epochsFor(start.similarity, options.budget);
  const [deepest, restsFrom] = [groupsFor(order, 1), epochs - Math.round((options.rests ?? 0) * epochs)];

  const isKnown = known !== undefined && start.source === "library";
  const again = isKnown ? known.score - Math.max(tolerance, chanceOf(known.score, drift.held.length)) : Infinity;
  const target = options.keeps === "last" ? Infinity : Math.min(targetOf(member.before, targetShare), again);
  const courses: Course[] = [];
  let groups = planned;
  let model = withWeights(fresh, isKnown ? known.candidate.tensors : start.tensors);
  if (measuresAnew && !isKnown) model = await refresh(member, model, seen.indices, drift, options);
  for (;;) {
    const along = alongOf(groups);
    const parameters = [...patchParameters(model), ...along];
    const ofDeepest = [...patchParameters(model, deepest), ...alongOf(deepest)];
    const course = await fineTune(model, drift.domain, {
      machine: options.machine,
      ...sessionOf(options),
      ...{ head, preprocessing, parameters, batchSize, epochs, indices, held: drift.held },
      scale: new Map([...wide, ...scaleOf(along, headNames, options)]),
      learningRate: options.learningRate ?? 1e-3,
      ...{ stop: { ...(options.stop ?? STOP_RULE), target }, measureEvery: options.measureEvery },
      trains: (epoch) => (epoch < restsFrom ? parameters : ofDeepest),
      ...{ keeps: options.keeps, cacheBytes: options.cacheBytes, seed: options.seed },
      ...{ signal: options.signal, onProgress: options.onProgress },
    });
    courses.push(course);
    bookCourse(ledger, member, model, course);
    model = course.model;
    const best = course.scores[course.best]!.value;
    const next = grows ? findNextGroup(order, groups, { reason: course.reason, best, target }) : undefined;
    if (next === undefined) break;
    groups = [...groups, next].sort((a, b) => a - b);
    model = attachPatches(model, points, { ...shape, groups: [next] });
  }
  if (start.source === "zero" && courses.every(({ steps }) => steps === 0)) {
    model = detachPatches(model); // statistics alone do
    groups = [];
  }
  const last = courses.at(-1)!;
  let score = last.scores[last.best]!.value;
  if (measuresAnew && !isKnown && start.source !== "zero") {
    const plain = await scorePlain(member, drift, options); // what was learnt before may have led astray
    if (plain > score + tolerance) {
      model = await refresh(member, member.source, seen.indices, drift, options);
      [groups, score] = [[], plain];
    }
  }
  const servingScore = await scoreServing(member, drift, options);
  const accepted = score >= servingScore - tolerance;
  if (accepted && library)
    remember(library, { ...member, serving: model }, { domain: drift.domain.name, looks: seen.looks, score });
  return {
    member: accepted ? { ...member, serving: model } : member,
    turn: { ...turn, ...(turn.parent !== undefined && { parentName: members[turn.parent]!.name }) },
    ...{ selection, samples: indices.length, start, planned, groups, epochs, courses, servingScore, score, accepted },
  };
}

/** By how much two scores of so many samples differ by chance: two standard errors of a share. */
const chanceOf = (score: number, samples: number): number => 2 * Math.sqrt((score * (1 - score)) / samples);

/** Factors on the learning rate: of heads, and of what else trains beside patches. */
const scaleOf = (
  along: readonly string[],
  heads: readonly string[],
  { headScale = 0.1, biasScale = headScale }: LineOptions,
): ReadonlyMap<string, number> => new Map(along.map((name) => [name, heads.includes(name) ? headScale : biasScale]));

/** Samples that statistics are measured on at most: those of more are hardly others. */
const REFRESHED = 96;

/** The model with statistics of the new pictures. */
async function refresh(
  { name, preprocessing }: Member,
  model: Model,
  indices: readonly number[],
  { domain }: Drift,
  options: LineOptions,
): Promise<Model> {
  const { machine, ledger, batchSize = 32, signal } = options;
  const refreshed = await refreshStatistics(model, domain, {
    ...{ ...sessionOf(options), machine, preprocessing, batchSize, indices: indices.slice(0, REFRESHED), signal },
  });
  const { images, ms } = refreshed;
  const macs = images * forwardMacs(model, preprocessing);
  ledger?.add({ model: name, technique: "statistics", macs, seconds: ms / 1000, count: images });
  return refreshed.model;
}

/** The held samples under new statistics alone. */
async function scorePlain(
  { name, source, head, preprocessing }: Member,
  drift: Drift,
  options: LineOptions,
): Promise<number> {
  const { machine, ledger, batchSize = 32, signal } = options;
  const scoring = { ...sessionOf(options), machine, preprocessing, batchSize, indices: drift.held, signal };
  const { value, images, ms } = await scoreByBatch(source, head, drift.domain, scoring);
  const macs = images * forwardMacs(source, preprocessing);
  ledger?.add({ model: name, technique: "evaluation", macs, seconds: ms / 1000, count: images });
  return value;
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
