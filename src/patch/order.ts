import { invariant, LimberError, type Random } from "../base/index.js";

/** In which order models are patched: along the strongest likenesses, at random, or as told. */
export const MODEL_ORDERS = ["spanningTree", "random", "given"] as const;
export type ModelOrder = (typeof MODEL_ORDERS)[number];

export interface ModelOrderOptions {
  /** Default `spanningTree`. */
  readonly order?: ModelOrder | undefined;
  /** What a step of each model costs: of equal candidates the cheapest goes first. */
  readonly costs?: readonly number[] | undefined;
  readonly random?: Random | undefined;
  readonly given?: readonly number[] | undefined;
}

/** A model's turn, and the model patched before that it is most like. */
export interface Turn {
  readonly model: number;
  /** Absent for the first. */
  readonly parent?: number | undefined;
  /** To the parent; 0 without one. */
  readonly similarity: number;
}

/** Similarities closer than this are equal, so that the order of a sum decides nothing. */
const EQUAL = 1e-9;

/**
 * The order in which models are patched, each after the one that its patch may start from.
 *
 * `spanningTree` begins with the model that is most like all others and goes on with the strongest likeness to any that is done: the
 * maximum spanning tree, by Prim. Of equals the cheapest goes first, then the first.
 *
 * Source: PatchLine, correlation-aware warm patching; Prim 1957, shortest connection networks.
 * Throws: `config.invalid`.
 */
export function orderModels(similarity: readonly (readonly number[])[], options: ModelOrderOptions = {}): Turn[] {
  const models = [...similarity.keys()];
  if (similarity.some((row) => row.length !== models.length))
    throw new LimberError(
      "config.invalid",
      `similarity: a row and a column for each of ${models.length} models, got other lengths`,
    );
  const { order = "spanningTree", costs = [] } = options;
  const best = <T>(candidates: readonly T[], values: (candidate: T) => readonly [number, number]): T =>
    candidates.reduce((a, b) => {
      const [[likeA, costA], [likeB, costB]] = [values(a), values(b)];
      const equal = Math.abs(likeA - likeB) < EQUAL;
      return (equal ? costB < costA : likeB > likeA) ? b : a;
    });
  const costOf = (model: number): number => costs[model] ?? 0;
  const turnOf = (model: number, done: readonly number[]): Turn => {
    if (done.length === 0) return { model, similarity: 0 };
    const parent = best(done, (other) => [similarity[model]![other]!, 0]);
    return { model, parent, similarity: similarity[model]![parent]! };
  };
  if (order !== "spanningTree")
    return fixedOrder(models, options).map((model, i, all) => turnOf(model, all.slice(0, i)));

  const turns: Turn[] = [];
  while (turns.length < models.length) {
    const done = turns.map(({ model }) => model);
    const waiting = models.filter((model) => !done.includes(model)).map((model) => turnOf(model, done));
    const sumOf = (model: number): number => similarity[model]!.reduce((sum, value) => sum + value, 0);
    turns.push(
      best(waiting, ({ model, similarity: like }) => [done.length === 0 ? sumOf(model) : like, costOf(model)]),
    );
  }
  return turns;
}

function fixedOrder(models: readonly number[], { order, random, given }: ModelOrderOptions): readonly number[] {
  if (order === "random") {
    invariant(random, "a random order of models takes random numbers");
    return random.shuffled(models);
  }
  if ([...(given ?? [])].sort((a, b) => a - b).join() === models.join()) return given ?? [];
  const message = `order of models: each from 0 to ${models.length - 1} once, got ${given?.join() ?? "none"}; correct it`;
  throw new LimberError("config.invalid", message);
}
