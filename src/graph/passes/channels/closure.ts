import { type Axis, type Labels, NOT_A_CHANNEL, type Product, type Reason, regroup } from "../../ops/index.js";
import type { ChannelTrace } from "./trace.js";

/** Labels that can only be removed together, by their representatives. */
export interface Unit {
  readonly labels: ReadonlySet<number>;
  /** Why they cannot be removed. */
  readonly reason: Reason | undefined;
}

/** A position of an axis that is a product, and what removes it: one position of each factor. */
interface Place {
  readonly product: Product;
  readonly parts: readonly number[];
}

/**
 * The smallest sets of labels that can be removed without leaving a ragged tensor.
 *
 * Removing a position of a factor removes all that it is part of; and where a position of a product has to go, one of its
 * parts goes, of the longest factor, since that removes the fewest others. Sets closed like this stay so when they are united.
 */
export function findUnits(trace: ChannelTrace): Unit[] {
  const { labels, weights } = trace;
  alignProducts(labels);
  const [places, children] = placesOf(labels);
  const byLabel = axesByLabel(trace);
  const starts = new Set(weights.flatMap((weight) => [...weight.labels].map((label) => labels.find(label))));
  for (const { factors } of labels.products)
    for (const factor of factors) for (const label of factor) starts.add(labels.find(label));
  const byStart = new Map<number, Unit>();
  const byLabels = new Map<string, Unit>();
  for (const start of [...starts].sort((a, b) => a - b)) {
    if (places.has(start)) continue;
    const closed = close(start, { labels, places, children, known: byStart });
    const whole = closed.reason === undefined && findEmptied(closed.labels, byLabel, labels) !== undefined;
    // Nobody asks why the whole of an axis cannot be removed.
    const unit = whole ? { ...closed, reason: NOT_A_CHANNEL } : closed;
    const key = [...unit.labels].sort((a, b) => a - b).join();
    if (!byLabels.has(key)) byLabels.set(key, unit);
    byStart.set(start, byLabels.get(key)!);
  }
  return [...byLabels.values()].filter((unit) => !containsAnother(unit, byStart));
}

/** Whether less than this can be removed too. */
const containsAnother = ({ labels, reason }: Unit, byStart: ReadonlyMap<number, Unit>): boolean =>
  reason === undefined &&
  [...labels].some((label) => {
    const other = byStart.get(label);
    if (!other || other.reason !== undefined || other.labels.size >= labels.size) return false;
    return [...other.labels].every((each) => labels.has(each));
  });

function close(
  start: number,
  {
    labels,
    places,
    children,
    known,
  }: {
    readonly labels: Labels;
    readonly places: ReadonlyMap<number, readonly Place[]>;
    readonly children: ReadonlyMap<number, readonly number[]>;
    readonly known: ReadonlyMap<number, Unit>;
  },
): Unit {
  const removed = new Set<number>();
  const open = [start];
  // First all that follows by itself; what is then still ragged stays so until a part of it goes.
  for (const unchecked: number[] = []; open.length > 0;) {
    for (let label = open.pop(); label !== undefined; label = open.pop()) {
      if (removed.has(label)) continue;
      removed.add(label);
      const unit = known.get(label);
      const reason = unit ? unit.reason : labels.reasonOf(label);
      if (reason !== undefined) return { labels: removed, reason };
      if (unit?.labels.has(start)) return unit;
      if (unit) {
        for (const each of unit.labels) removed.add(each);
      } else {
        unchecked.push(label);
        open.push(...(children.get(label) ?? []));
      }
    }
    while (open.length === 0 && unchecked.length > 0) {
      const ragged = places.get(unchecked.at(-1)!)?.find(({ parts }) => !parts.some((part) => removed.has(part)));
      if (ragged) open.push(cheapestPart(ragged, labels));
      else unchecked.pop();
    }
  }
  return { labels: removed, reason: undefined };
}

function cheapestPart({ product, parts }: Place, labels: Labels): number {
  const free = parts.flatMap((part, i) =>
    labels.reasonOf(part) === undefined ? [{ part, length: product.factors[i]!.length }] : [],
  );
  return free.length > 0 ? free.reduce((a, b) => (b.length > a.length ? b : a)).part : parts[0]!;
}

/** Two products over the same axis are one: [6, 4] and [2, 12] are both 2 · 3 · 4. */
function alignProducts(labels: Labels): void {
  const keyOf = ({ whole }: Product): string => whole.map((label) => labels.find(label)).join();
  const aligned = new Map<Product, Product>();
  for (let changed = true; changed;) {
    changed = false;
    const first = new Map<string, Product>();
    for (const product of [...labels.products]) {
      const key = keyOf(product);
      const other = first.get(key);
      if (!other) first.set(key, product);
      else if (aligned.get(product) !== other) {
        aligned.set(product, other);
        changed = true;
        const sizes = product.factors.map(({ length }) => length);
        const reason = "two Reshapes group it in ways that do not fit together";
        regroup(labels, other.factors, sizes, reason).forEach((axis, i) => labels.same(axis, product.factors[i]!));
      }
    }
  }
}

function placesOf(labels: Labels): [Map<number, Place[]>, Map<number, number[]>] {
  const places = new Map<number, Place[]>();
  const children = new Map<number, number[]>();
  for (const product of labels.products) {
    product.whole.forEach((label, position) => {
      const root = labels.find(label);
      const parts = partsAt(product.factors, position).map((part) => labels.find(part));
      append(places, root, { product, parts });
      for (const part of parts) append(children, part, root);
    });
  }
  return [places, children];
}

/** The position of each factor that makes a position of the whole. */
function partsAt(factors: readonly Axis[], position: number): number[] {
  let rest = position;
  return [...factors]
    .reverse()
    .map((factor) => {
      const at = rest % factor.length;
      rest = Math.floor(rest / factor.length);
      return factor[at]!;
    })
    .reverse();
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

/** Axes by the representative of their first position: an axis that vanishes loses that one too. */
export function axesByLabel({ labels, axes }: ChannelTrace): ReadonlyMap<number, readonly Axis[]> {
  const byLabel = new Map<number, Axis[]>();
  for (const axis of new Set([...axes.values()].flat()))
    if (axis.length > 0) append(byLabel, labels.find(axis[0]!), axis);
  return byLabel;
}

/** An axis of which nothing would be left. */
export function findEmptied(
  removed: ReadonlySet<number>,
  byLabel: ReadonlyMap<number, readonly Axis[]>,
  labels: Labels,
): Axis | undefined {
  for (const label of removed) {
    const emptied = byLabel.get(label)?.find((axis) => axis.every((each) => removed.has(labels.find(each))));
    if (emptied) return emptied;
  }
  return undefined;
}
