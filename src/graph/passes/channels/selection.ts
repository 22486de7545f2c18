import { LimberError, Random, toNumbers, type Tensor } from "../../../base/index.js";
import type { Model } from "../../ir/index.js";
import { type Parameter, parametersOf } from "../parameters.js";
import { prepareModel } from "../prepare.js";
import type { ChannelGroup, ChannelMember } from "./groups.js";

/** The units of each group that stay, in ascending order; groups that are not named stay whole. */
export type ChannelSelection = Readonly<Record<string, readonly number[]>>;

interface ScoreContext {
  readonly group: ChannelGroup;
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly random: Random;
}

/** How much each unit of a group matters; undefined where the score does not apply. */
type Score = (context: ScoreContext) => readonly number[] | undefined;

/** Sum over the slices of a tensor that belong to each unit. */
function sumSlices(tensor: Tensor, { axis, indices }: ChannelMember, term: (value: number) => number): number[] {
  const values = toNumbers(tensor);
  const inner = tensor.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const sums = new Float64Array(tensor.dims[axis]!);
  values.forEach((value, i) => (sums[Math.floor(i / inner) % sums.length]! += term(value)));
  return indices.map((positions) => positions.reduce((sum, position) => sum + sums[position]!, 0));
}

/** The mean over the tensors that make the units, each scaled to a mean of 1: large layers do not drown small ones. */
function average(lists: readonly (readonly number[])[]): number[] | undefined {
  if (lists.length === 0) return undefined;
  const scaled = lists.map((list) => {
    const mean = list.reduce((a, b) => a + b, 0) / list.length;
    return list.map((value) => (mean === 0 ? 1 : value / mean));
  });
  return scaled[0]!.map((_, unit) => scaled.reduce((sum, list) => sum + list[unit]!, 0) / scaled.length);
}

const byNorm =
  (role: Parameter["role"], term: (value: number) => number, finish: (sum: number) => number = (sum) => sum): Score =>
  ({ group, parameters }) =>
    average(
      group.members.flatMap((member) => {
        const parameter = parameters.get(member.initializer);
        if (member.side !== "makes" || parameter?.role !== role) return [];
        return [sumSlices(parameter.tensor, member, term).map(finish)];
      }),
    );

/**
 * Scores of units by the tensors that make them: sum of magnitudes, Euclidean norm, |γ| of the normalization that follows, chance.
 * Source: Li et al. 2017, arXiv:1608.08710 (l1); Liu et al. 2017, arXiv:1708.06519 (bn).
 */
export const CHANNEL_SCORES = {
  l1: byNorm("weight", Math.abs),
  l2: byNorm("weight", (value) => value * value, Math.sqrt),
  bn: byNorm("norm-scale", Math.abs),
  random: ({ group, random }) => Array.from({ length: group.size }, () => random.next()),
} as const satisfies Record<string, Score>;

export type ChannelScore = keyof typeof CHANNEL_SCORES;

export interface SelectionOptions {
  /** The share of units that stays. */
  readonly keep: number;
  readonly by: ChannelScore;
  /** Ranks the units of all groups together; otherwise each group keeps the same share. */
  readonly global?: boolean;
  /** Kept channels are rounded up to a multiple of this, for kernels that work on blocks. */
  readonly roundTo?: number;
  readonly seed?: number;
}

export interface ChannelChoice {
  readonly selection: ChannelSelection;
  /** Prunable groups that stay whole all the same, and why. */
  readonly skipped: readonly { readonly id: string; readonly why: string }[];
}

/**
 * Chooses what stays: the units with the highest scores, at least one of each group. Of groups that cut the same positions in
 * two ways the one that reaches more weights is taken: whole heads rather than columns of all heads.
 * Throws: `config.invalid` for a share outside of (0, 1].
 */
export function chooseChannels(
  model: Model,
  groups: readonly ChannelGroup[],
  options: SelectionOptions,
): ChannelChoice {
  const { keep, by, roundTo = 1, seed = 0 } = options;
  if (!(keep > 0 && keep <= 1)) throw new LimberError("config.invalid", `keep: a share in (0, 1], got ${keep}`);
  const parameters = new Map(parametersOf(prepareModel(model)).map((parameter) => [parameter.name, parameter]));
  const skipped: { id: string; why: string }[] = [];
  const scored: { group: ChannelGroup; scores: readonly number[] }[] = [];
  for (const group of byReach(groups.filter(({ reason }) => reason === undefined))) {
    const rival = scored.find(({ group: { id } }) => group.overlaps.includes(id));
    const score: Score = CHANNEL_SCORES[by];
    const scores = rival ? undefined : score({ group, parameters, random: new Random(seed).fork(group.id) });
    if (scores) scored.push({ group, scores });
    else skipped.push({ id: group.id, why: rival ? `cut as ${rival.group.id}` : `nothing to score by ${by}` });
  }
  scored.sort((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group));
  const threshold = options.global
    ? quantile(
        scored.flatMap(({ scores }) => scores),
        1 - keep,
      )
    : undefined;
  const chosen = scored.map(({ group, scores }): [string, number[]] => {
    const wanted =
      threshold === undefined ? Math.round(keep * group.size) : scores.filter((score) => score >= threshold).length;
    return [group.id, best(scores, roundUp(Math.max(1, wanted), group, roundTo))];
  });
  return {
    selection: Object.fromEntries(chosen.filter(([, kept], i) => kept.length < scored[i]!.group.size)),
    skipped,
  };
}

/** Groups that shrink more weights first, then those of more units. */
const byReach = (groups: readonly ChannelGroup[]): ChannelGroup[] =>
  [...groups].sort((a, b) => b.members.length - a.members.length || b.size - a.size);

/** The lowest of the values that stay when this share goes. */
const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.round(share * values.length))] ?? 0;

/** The fewest units, no fewer than these, whose channels fill whole blocks; all of them where none do. */
function roundUp(units: number, { size, granularity }: ChannelGroup, roundTo: number): number {
  let count = units;
  while (count < size && (count * granularity) % roundTo !== 0) count++;
  return count;
}

/** Places of the highest scores, in ascending order; of equal ones the first. */
const best = (scores: readonly number[], count: number): number[] =>
  scores
    .map((score, unit) => ({ score, unit }))
    .sort((a, b) => b.score - a.score || a.unit - b.unit)
    .slice(0, count)
    .map(({ unit }) => unit)
    .sort((a, b) => a - b);

/** Throws: `config.invalid` for a group that is unknown or cannot be cut, or units that it does not have. */
export function checkSelection(groups: readonly ChannelGroup[], selection: ChannelSelection): void {
  for (const [id, kept] of Object.entries(selection)) {
    const group = groups.find((each) => each.id === id);
    const refuse = (expectation: string): LimberError =>
      new LimberError("config.invalid", `channel group "${id}": ${expectation}`, { group: id });
    if (!group) throw refuse("a group of the model, got none of that name; limber inspect --groups lists them");
    if (group.reason !== undefined) throw refuse(`one that can be cut, got one ${group.reason}`);
    const valid = kept.every(
      (unit, i) => Number.isInteger(unit) && unit >= 0 && unit < group.size && (i === 0 || unit > kept[i - 1]!),
    );
    if (!valid) throw refuse(`units of 0 to ${group.size - 1} in ascending order, got [${kept.join(", ")}]`);
  }
}
