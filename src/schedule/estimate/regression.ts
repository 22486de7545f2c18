import { solveRidge, squaredError, sumOf, type System, systemOf } from "./ridge.js";

/** An example to learn from: of a kind of app, in a drift. */
export interface Example {
  readonly kind: string;
  /** Examples of one drift are left out together when the strength of the shrinking is chosen. */
  readonly drift: string;
  readonly features: readonly number[];
  readonly target: number;
}

/** y = intercept + Σ w·z for z = (x - centre)/scale. Plain data. */
export interface LinearMap {
  readonly intercept: number;
  readonly centres: readonly number[];
  readonly weights: readonly number[];
}

/** A map for each kind. */
export interface LinearModel {
  readonly scales: readonly number[];
  /** What each z is held within: near the examples of all kinds. */
  readonly lowest: readonly number[];
  readonly highest: readonly number[];
  readonly kinds: Readonly<Record<string, LinearMap>>;
  /** Root mean square of what it is wrong by on drifts left out, by kind. */
  readonly deviations: Readonly<Record<string, number>>;
}

export interface FitOptions {
  /** Features as they are and no intercept, so that zeros give zero. Default: both centred by kind. */
  readonly isThroughZero?: boolean | undefined;
  /** Weights are 0 at least: a feature can only add. */
  readonly isRising?: boolean | undefined;
  /** What weights shrink to. Default: zeros. */
  readonly prior?: readonly number[] | undefined;
}

/** Strengths to choose from, as shares of the number of examples: of all kinds' weights to the prior, and of a kind's own to those. */
const SHRINKS = [0.003, 0.03, 0.3, 3];
/** How far beyond the range of its examples a feature counts, as a share of that range. */
const BEYOND = 1;

/**
 * Ridge regression with pooling: the weights of all kinds together shrink to a prior, those of each kind to them, by as much as predicts best
 * the drifts left out. Few examples leave a kind near the others. Deterministic. Cost: 20 · drifts · sweeps · features².
 * Source: Hoerl & Kennard 1970, with an intercept for each kind as in Mundlak 1978.
 */
export function fitLinear(examples: readonly Example[], options: FitOptions = {}): LinearModel {
  const { isThroughZero = false, isRising = false, prior } = options;
  const columns = Array.from(examples[0]?.features ?? [], (_, j) => j);
  const column = (of: readonly Example[], j: number): number[] => of.map(({ features }) => features[j]!);
  const byKind = groupBy(examples, ({ kind }) => kind);
  const frames = new Map(
    [...byKind].map(([kind, own]) => {
      const intercept = isThroughZero ? 0 : mean(own.map(({ target }) => target));
      return [kind, { intercept, centres: columns.map((j) => (isThroughZero ? 0 : mean(column(own, j)))) }];
    }),
  );
  const scales = columns.map((j) =>
    Math.sqrt(mean(examples.map((each) => (each.features[j]! - frames.get(each.kind)!.centres[j]!) ** 2)) || 1),
  );
  const drifts = [...groupBy(examples, ({ kind, drift }) => `${kind}\n${drift}`).values()].map((own): Drift => {
    const { kind } = own[0]!;
    const { intercept, centres } = frames.get(kind)!;
    const rows = own.map(({ features }) => features.map((x, j) => (x - centres[j]!) / scales[j]!));
    const targets = own.map(({ target }) => target - intercept);
    return { kind, rows, system: systemOf(rows, targets, columns.length) };
  });
  const start = Float64Array.from(scales, (scale, j) => scale * (prior?.[j] ?? 0));
  const sums = (of: readonly Drift[]): System =>
    sumOf(
      of.map(({ system }) => system),
      columns.length,
    );
  const solve = (system: System, shrink: number, from: Float64Array): Float64Array =>
    solveRidge(system, shrink, from, isRising);
  const errors = SHRINKS.map(() => SHRINKS.map(() => 0));
  const errorsOf = new Map([...byKind.keys()].map((kind) => [kind, SHRINKS.map(() => SHRINKS.map(() => 0))]));
  for (const left of drifts) {
    const others = drifts.filter((each) => each !== left);
    const [all, ofKind] = [sums(others), sums(others.filter(({ kind }) => kind === left.kind))];
    SHRINKS.forEach((pool, i) => {
      const pooled = solve(all, pool, start);
      SHRINKS.forEach((own, j) => {
        const error = squaredError(left.system, solve(ofKind, own, pooled));
        for (const sums of [errors, errorsOf.get(left.kind)!]) sums[i]![j]! += error;
      });
    });
  }
  const least = Math.min(...errors.flat());
  const i = errors.findIndex((row) => row.includes(least));
  const j = errors[i]!.indexOf(least);
  const [pool, own] = [SHRINKS[i]!, SHRINKS[j]!];
  const pooled = solve(sums(drifts), pool, start);
  const weightsOf = (kind: string): Float64Array =>
    solve(sums(drifts.filter((each) => each.kind === kind)), own, pooled);
  const maps = [...frames].map(([kind, frame]): [string, LinearMap] => [
    kind,
    { ...frame, weights: Array.from(weightsOf(kind)) },
  ]);
  const rows = drifts.flatMap((each) => each.rows);
  const deviations = [...errorsOf].map(([kind, sums]): [string, number] => [
    kind,
    Math.sqrt(Math.max(0, sums[i]![j]!) / byKind.get(kind)!.length),
  ]);
  return {
    ...{ scales, ...rangeOf(columns.map((k) => rows.map((row) => row[k]!))) },
    ...{ kinds: Object.fromEntries(maps), deviations: Object.fromEntries(deviations) },
  };
}

/** The value for a kind; 0 for one without examples, such as what other levels score of an app that has one. */
export function predictLinear(model: LinearModel, kind: string, features: readonly number[]): number {
  const { scales, lowest, highest, kinds } = model;
  const map = kinds[kind];
  if (!map) return 0;
  const { intercept, centres, weights } = map;
  return features.reduce((sum, x, j) => {
    const z = (x - centres[j]!) / scales[j]!;
    return sum + weights[j]! * Math.min(highest[j]!, Math.max(lowest[j]!, z));
  }, intercept);
}

interface Drift {
  readonly kind: string;
  readonly rows: readonly (readonly number[])[];
  readonly system: System;
}

function rangeOf(columns: readonly (readonly number[])[]): { lowest: number[]; highest: number[] } {
  const ranges = columns.map((values) => [Math.min(...values), Math.max(...values)] as const);
  return {
    lowest: ranges.map(([low, high]) => low - BEYOND * (high - low)),
    highest: ranges.map(([low, high]) => high + BEYOND * (high - low)),
  };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
