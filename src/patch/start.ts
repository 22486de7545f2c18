import { invariant } from "../base/index.js";
import { type Model, patchParameters, type Statistics } from "../graph/index.js";
import type { Machine, SessionOptions } from "../run/node.js";
import { batches, type Domain } from "../vision/index.js";
import { forwardMacs } from "./books.js";
import type { Ledger } from "./ledger.js";
import { createLossProbe } from "./loss-probe.js";
import { type Member, patchedGroups, weightsOf } from "./member.js";
import { chooseStart, type Start, type StartCandidate, type StartSource } from "./warm.js";

export interface FindStartOptions extends SessionOptions {
  readonly machine: Machine;
  /** Which kinds of starts are tried besides nothing. */
  readonly sources: readonly StartSource[];
  /** Patches of other models and of the library. */
  readonly others: readonly StartCandidate[];
  /** What trains beside the patch; the model's own start includes it. */
  readonly along: readonly string[];
  /** How normalization works while starts are compared: by the batch where statistics are measured anew. */
  readonly statistics: Statistics;
  readonly ledger?: Ledger | undefined;
}

/** Samples that starts are judged on, the same for all; normalization by this batch takes as many. */
const PROBED = 32;

/** What a model has learnt in earlier drifts is worth more once it trains than its loss tells; see docs/benchmarks.md. */
const ALLOWANCE = 0.2;

/** Judges where the patches could start by the loss on one batch of the pool. */
export async function findStart(
  member: Member,
  fresh: Model,
  { domain, pool }: { readonly domain: Domain; readonly pool: readonly number[] },
  { sources, others, along, statistics, ledger, ...session }: FindStartOptions,
): Promise<Start> {
  const names = [...patchParameters(fresh), ...along];
  const zero = weightsOf(fresh, names);
  const own: StartCandidate = { source: "own", tensors: weightsOf(member.serving, names) };
  const known = [...(patchedGroups(member.serving).length > 0 ? [own] : []), ...others];
  const fits = (each: StartCandidate): StartCandidate => ({
    ...each,
    tensors: new Map([...each.tensors].filter(([name]) => zero.has(name))),
  });
  const candidates = known.filter(({ source }) => sources.includes(source)).map(fits);
  const { head, preprocessing, name } = member;
  if (candidates.length === 0) return chooseStart(zero, [], { probe: () => Promise.resolve(0) });
  const began = performance.now();
  const reading = { indices: pool.slice(0, PROBED), preprocessing, batchSize: PROBED, truth: true };
  const batch = (await batches(domain, reading).next()).value;
  invariant(batch && batch.labels.length > 0, "a pool that trains has a batch");
  const given = { images: batch.images, targets: head.encode(batch) };
  await using probe = await createLossProbe(fresh, given, { ...session, head, statistics, parameters: names });
  const start = await chooseStart(zero, candidates, {
    probe: (tensors) => probe.measure(tensors),
    allowance: ALLOWANCE,
  });
  const probed = start.tried.filter(({ loss, refused }) => loss !== undefined || refused === "not finite").length;
  const images = probed * batch.labels.length;
  const seconds = (performance.now() - began) / 1000;
  const macs = images * forwardMacs(fresh, preprocessing);
  ledger?.add({ model: name, technique: "correlation", macs, seconds, count: images });
  return start;
}
