import { sizeOf, throwIfAborted } from "../../base/index.js";
import { type Decision, Emitter, type Model, writeDecision, writeModel } from "../../graph/index.js";
import type { Feeds, Machine, RunTensor, Session, SessionOptions } from "../session.js";

export interface MeasureOptions {
  /** How often each candidate runs, at most. */
  readonly rounds: number;
  readonly session: SessionOptions;
  /** What is done to a step before it runs on this machine. */
  readonly lower: (model: Model) => Promise<Model>;
  readonly signal?: { readonly aborted: boolean } | undefined;
}

/** How much slower than the best a candidate may be, by the rounds behind, to be run again: the first runs say least. */
const PATIENCE = [4, 2, 1.5];

interface Candidate {
  readonly name: string;
  readonly session: Session;
  readonly feeds: Feeds;
  readonly fetch: string;
  /** Of the fastest run so far: what disturbs a run only ever adds to its time. */
  bestMs: number;
}

/**
 * Runs every candidate of a decision as a model of its own and gives the time of the fastest run of each.
 *
 * All take turns in every round, so that a machine that is slow for a while is slow for all of them.
 * Units: milliseconds. Throws: `aborted`.
 */
export async function timeCandidates(
  machine: Machine,
  decision: Decision,
  { rounds, session, lower, signal }: MeasureOptions,
): Promise<ReadonlyMap<string, number>> {
  const candidates: Candidate[] = [];
  const { X, W, geometry } = decision.layer;
  const dY: Shape = { dtype: X.dtype, dims: [X.dims[0]!, W.dims[0]!, ...geometry.output] };
  const values: Readonly<Record<string, RunTensor>> = { X: noise(X), W: noise(W), dY: noise(dY) };
  try {
    for (const name of decision.candidates) {
      throwIfAborted(signal);
      const model = firstElement(writeDecision(decision, name, values.W!));
      const feeds = Object.fromEntries(model.graph.inputs.map((v) => [v.name, values[v.name]!]));
      const loaded = await machine.createSession(writeModel(await lower(model)), session).catch(() => undefined);
      if (loaded)
        candidates.push({ name, session: loaded, feeds, fetch: model.graph.outputs[0]!.name, bestMs: Infinity });
    }
    let running = candidates;
    for (let round = 0; round < rounds && (running.length > 1 || round === 0); round++) {
      for (const candidate of running) {
        throwIfAborted(signal);
        const { runMs } = await candidate.session.run(candidate.feeds, { fetches: [candidate.fetch] });
        candidate.bestMs = Math.min(candidate.bestMs, runMs);
      }
      const limit = Math.min(...running.map(({ bestMs }) => bestMs)) * (PATIENCE[round] ?? PATIENCE.at(-1)!);
      running = running.filter(({ bestMs }) => bestMs <= limit);
    }
  } finally {
    await Promise.all(candidates.map(({ session: loaded }) => loaded.dispose()));
  }
  return new Map(candidates.map(({ name, bestMs }) => [name, bestMs]));
}

/** The model with one element of its output in place of the whole: in a step the result stays inside, and copying it out costs. */
function firstElement(model: Model): Model {
  const output = model.graph.outputs[0]!;
  const emit = new Emitter(model.opsets.get("")!, model.graph.types.keys(), "first/");
  const result = emit.value(output.name, output);
  const [first] = emit.node("Gather", [emit.reshape(result, [sizeOf(result.dims)]), emit.ints([0])]);
  return { ...model, graph: emit.appendTo(model.graph, [first]) };
}

type Shape = Pick<RunTensor, "dims" | "dtype">;

/** Numbers between -1 and 1 that neither repeat along an axis nor cost much to make. */
function noise({ dims, dtype }: Shape): RunTensor {
  const data = new Float32Array(sizeOf(dims));
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = state / 2 ** 31;
  }
  return { dtype, dims, data };
}
