import { toNumbers, type Random } from "../base/index.js";
import type { Scope } from "../adapt/index.js";
import {
  type ChannelMember,
  entropy,
  type Filters,
  headOf,
  type Loss,
  type Model,
  outputAxisOf,
  type Parameter,
  parametersOf,
  sgd,
} from "../graph/index.js";
import { KeptTrainers, type Machine, type RunTensor, type SessionOptions } from "../run/node.js";

export interface SensitivityOptions extends SessionOptions {
  readonly machine: Machine;
  /** Where compiled steps are kept for the next model; default: nowhere. */
  readonly trainers?: KeptTrainers | undefined;
  /** Default: the entropy of the predictions, as no labels are known. */
  readonly loss?: Loss | undefined;
}

/** A power of two, so that a small gradient next to a weight near 1 keeps its digits, and none are lost by dividing again. */
const RATE = 4096;

/**
 * How much each filter wants to change on a batch: |∂L/∂γ| + |∂L/∂β| of its normalization, or the same of its bias where it has none,
 * by group. It is read off one plain step of gradient descent, with statistics of the batch.
 *
 * Source: ElasticDNN's authors rank by what one Tent step changes; for a plain step both orders are the same.
 * Throws: `shape.mismatch` for a batch too small to have statistics, `gradient.missing`.
 */
export async function measureSensitivity(
  model: Model,
  filters: readonly Filters[],
  images: RunTensor,
  { loss = entropy, ...options }: SensitivityOptions,
): Promise<Record<string, number[]>> {
  const parameters = new Map(parametersOf(model).map((parameter) => [parameter.name, parameter]));
  const judges = filters.map((each) => judgesOf(each, parameters));
  const names = [...new Set(judges.flat().map(({ initializer }) => initializer))];
  const sizes = names.map((name) => model.graph.initializers.get(name)!.dims[0]);
  await using own = new KeptTrainers(options.machine);
  const trainer = await (options.trainers ?? own).take(`sensitivity ${loss.name} ${sizes.join()}`, model, {
    ...options,
    statistics: { sourceWeight: 0, variance: "unbiased" },
    train: { loss, optimizer: sgd(), parameters: names },
  });
  await trainer.step({ images }, { learningRate: RATE, answers: false });
  const after = (await trainer.exportModel()).graph.initializers;
  const changeOf = ({ initializer, axis, indices }: ChannelMember): number[] => {
    const before = model.graph.initializers.get(initializer)!;
    const [old, now] = [toNumbers(before), toNumbers(after.get(initializer)!)];
    const inner = before.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
    const sums = new Float64Array(before.dims[axis]!);
    old.forEach((value, i) => (sums[Math.floor(i / inner) % sums.length]! += Math.abs(now[i]! - value) / RATE));
    return indices.map((places) => places.reduce((sum, place) => sum + sums[place]!, 0));
  };
  const scores = filters.map(({ group, size }, i) => {
    const changes = judges[i]!.map(changeOf);
    return [group, Array.from({ length: size }, (_, unit) => changes.reduce((sum, each) => sum + each[unit]!, 0))];
  });
  return Object.fromEntries(scores) as Record<string, number[]>;
}

/** What speaks for a filter: scale and bias of its normalization, else its bias, else its weights. */
function judgesOf({ members }: Filters, parameters: ReadonlyMap<string, Parameter>): readonly ChannelMember[] {
  const roleOf = ({ initializer }: ChannelMember): string => parameters.get(initializer)?.role ?? "";
  const byRole = (prefix: string): ChannelMember[] => members.filter((member) => roleOf(member).startsWith(prefix));
  return [byRole("norm-"), byRole("bias"), byRole("weight")].find((list) => list.length > 0) ?? [];
}

/** Which filters of a surrogate train: the most sensitive, as many at random, the least sensitive, or all. */
export const STRATEGIES = ["sensitive", "random", "inverse", "all"] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** The units of each group that train: `share` of them, rounded up, so at least one. */
export function pickFilters(
  scores: Readonly<Record<string, readonly number[]>>,
  { share, strategy, random }: { share: number; strategy: Strategy; random: Random },
): Readonly<Record<string, readonly number[]>> {
  const order = (group: string, values: readonly number[]): number[] => {
    const units = [...values.keys()];
    if (strategy === "all") return units;
    if (strategy === "random") return random.fork(group).shuffled(units);
    const sign = strategy === "inverse" ? -1 : 1;
    return units.sort((a, b) => sign * (values[b]! - values[a]!) || a - b);
  };
  const entries = Object.entries(scores).map(([group, values]) => {
    const count = strategy === "all" ? values.length : Math.ceil(share * values.length - 1e-9);
    return [
      group,
      order(group, values)
        .slice(0, Math.max(1, count))
        .sort((a, b) => a - b),
    ] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * What trains where only some filters do: those rows of the layers that make them; layers without a gate, and boosts, whole; the
 * classifier not at all.
 */
export function scopeOf(
  model: Model,
  filters: readonly Filters[],
  chosen: Readonly<Record<string, readonly number[]>>,
): Scope {
  const head = new Set(headOf(model).map(({ name }) => name));
  const parameters = parametersOf(model).flatMap(({ name }) => (head.has(name) ? [] : [name]));
  const rows = new Map<string, readonly number[]>();
  for (const { group, members } of filters)
    for (const { initializer, axis, indices } of members) {
      if (!parameters.includes(initializer) || outputAxisOf(model.graph, initializer) !== axis) continue;
      rows.set(
        initializer,
        chosen[group]!.flatMap((unit) => indices[unit]!).sort((a, b) => a - b),
      );
    }
  return { parameters, rows };
}
