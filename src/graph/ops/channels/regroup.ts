import type { Axis, Labels } from "./labels.js";

/**
 * Axes of other sizes over the same elements in the same order, as Reshape makes them.
 * Both sides are cut into common factors: [6, 4] and [2, 12] into 2 · 3 · 4, so that 6 = 2 · 3 and 12 = 3 · 4.
 * Where there are none, as between [6, 4] and [4, 6], nothing can be removed. A size of 0 is unknown.
 */
export function regroup(labels: Labels, axes: readonly Axis[], sizes: readonly number[], reason: string): Axis[] {
  const result: Axis[] = [];
  let [from, to] = [0, 0];
  while (from < axes.length || to < sizes.length) {
    const block = nextBlock(axes, sizes, from, to);
    const before = axes.slice(from, block.from);
    const after = sizes.slice(to, block.to);
    result.push(...(block.fits ? refine(labels, before, after, reason) : freezeAll(labels, before, after, reason)));
    [from, to] = [block.from, block.to];
  }
  return result;
}

/** The shortest run of axes from here with as many elements as a run of the new ones; all that is left where there is none. */
function nextBlock(axes: readonly Axis[], sizes: readonly number[], from: number, to: number) {
  if (axes[from]?.length === 0 && sizes[to] === 0) return { from: from + 1, to: to + 1, fits: true };
  let [i, j, left, right] = [from + 1, to + 1, axes[from]?.length ?? 1, sizes[to] ?? 1];
  while (left !== right && left > 0 && right > 0) {
    if (left < right && i < axes.length) left *= axes[i++]!.length;
    else if (right < left && j < sizes.length) right *= sizes[j++]!;
    else break;
  }
  if (left !== right) return { from: axes.length, to: sizes.length, fits: false };
  return { from: Math.min(i, axes.length), to: Math.min(j, sizes.length), fits: true };
}

function freezeAll(labels: Labels, axes: readonly Axis[], sizes: readonly number[], reason: string): Axis[] {
  for (const axis of axes) labels.freeze(axis, reason);
  return sizes.map((size) => labels.fixed(size, axes.every((axis) => labels.isFixed(axis)) ? "" : reason));
}

function refine(labels: Labels, axes: readonly Axis[], sizes: readonly number[], reason: string): Axis[] {
  if (axes.length === 1 && sizes.length === 1) return [axes[0]!];
  const [before, after] = [boundariesOf(axes.map(({ length }) => length)), boundariesOf(sizes)];
  const cuts = [...new Set([1, ...before, ...after])].sort((a, b) => a - b);
  if (cuts.some((cut, i) => i > 0 && cut % cuts[i - 1]! !== 0)) return freezeAll(labels, axes, sizes, reason);
  const isFixed = axes.every((axis) => labels.isFixed(axis));
  const factors = cuts.slice(1).map((cut, i) => {
    const own = axes.find((axis, k) => before[k] === cut && axis.length === cut / cuts[i]!);
    return own ?? (isFixed ? labels.fixed(cut / cuts[i]!) : labels.fresh(cut / cuts[i]!));
  });
  const within = (end: number, size: number): Axis[] =>
    factors.filter((_, i) => cuts[i + 1]! <= end && cuts[i]! >= end / size);
  axes.forEach((axis, k) => {
    if (!isFixed) labels.product(axis, within(before[k]!, axis.length));
  });
  return sizes.map((size, k) => merge(labels, within(after[k]!, size), size));
}

/** One axis from its factors. */
function merge(labels: Labels, factors: readonly Axis[], size: number): Axis {
  if (factors.length === 1) return factors[0]!;
  if (factors.every((factor) => labels.isFixed(factor))) return labels.fixed(size);
  const whole = labels.fresh(size);
  labels.product(whole, factors);
  return whole;
}

/** Products of the first sizes: 2, 6, 24 for [2, 3, 4]. */
function boundariesOf(sizes: readonly number[]): number[] {
  let product = 1;
  return sizes.map((size) => (product *= size));
}
