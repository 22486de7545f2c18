/**
 * The positions along one axis of a value, named by labels: what has the same label is removed together.
 * Empty where the length is not known.
 */
export type Axis = Int32Array;

/** Position (i, j, …) of `factors`, counted in row-major order, is position i·|j| + j … of `whole`: it goes when one of its parts goes. */
export interface Product {
  readonly whole: Axis;
  readonly factors: readonly Axis[];
}

/** Why a position cannot be removed; `""` where nobody would want to, as for rows of pixels. */
export type Reason = string;

export const NOT_A_CHANNEL: Reason = "";

/**
 * Which positions of which axes have to be removed together: a union-find over labels, reasons against removal, and products,
 * which tie an axis to those that a Reshape splits it into.
 */
export class Labels {
  private readonly parents: number[] = [0];
  private readonly reasons = new Map<number, Reason>();
  /** Labels that stand for any number of positions and are never united: label 0 for what is not a channel. */
  private readonly constants = new Map<number, Reason>([[0, NOT_A_CHANNEL]]);
  readonly products: Product[] = [];

  get count(): number {
    return this.parents.length;
  }

  /** Positions that nothing ties to others yet. */
  fresh(size: number): Axis {
    const start = this.parents.length;
    for (let i = 0; i < size; i++) this.parents.push(start + i);
    return Int32Array.from({ length: size }, (_, i) => start + i);
  }

  /** Positions that stay, whatever they meet stays too. */
  fixed(size: number, reason: Reason = NOT_A_CHANNEL): Axis {
    if (reason === NOT_A_CHANNEL) return new Int32Array(size);
    const [label] = this.fresh(1);
    this.constants.set(label!, reason);
    return new Int32Array(size).fill(label!);
  }

  /** The representative of a label. */
  find(label: number): number {
    let root = label;
    while (this.parents[root] !== root) root = this.parents[root]!;
    for (let at = label; at !== root;) {
      const next = this.parents[at]!;
      this.parents[at] = root;
      at = next;
    }
    return root;
  }

  reasonOf(label: number): Reason | undefined {
    const root = this.find(label);
    return this.constants.get(root) ?? this.reasons.get(root);
  }

  isFixed(axis: Axis): boolean {
    return axis.every((label) => this.constants.has(this.find(label)));
  }

  /** Keeps every position of an axis. The first reason stands, except that what is not a channel never was one. */
  freeze(axis: Axis, reason: Reason): void {
    for (const label of axis) {
      const root = this.find(label);
      if (!this.constants.has(root) && (!this.reasons.has(root) || reason === NOT_A_CHANNEL))
        this.reasons.set(root, reason);
    }
  }

  /** Two axes that run side by side, position by position. */
  same(a: Axis, b: Axis): void {
    if (a === b) return;
    if (a.length !== b.length) {
      for (const axis of [a, b]) this.freeze(axis, "it meets an axis of unknown length");
      return;
    }
    for (let i = 0; i < a.length; i++) this.unite(a[i]!, b[i]!);
  }

  /** Ties an axis to those that it is made of, the outermost first. */
  product(whole: Axis, factors: readonly Axis[]): void {
    const parts = factors.filter((factor) => factor.length !== 1);
    const size = factors.reduce((n, factor) => n * factor.length, 1);
    if (size !== whole.length || size === 0) {
      for (const axis of [whole, ...parts]) this.freeze(axis, "it meets an axis of unknown length");
    } else if (this.isFixed(whole)) {
      for (const axis of parts) this.freeze(axis, this.reasonOf(whole[0]!)!);
    } else if (parts.length === 1) this.same(whole, parts[0]!);
    else if (parts.length > 1) this.products.push({ whole, factors: parts });
  }

  private unite(a: number, b: number): void {
    const [low, high] = [this.find(a), this.find(b)].sort((x, y) => x - y) as [number, number];
    if (low === high) return;
    const [reasonLow, reasonHigh] = [this.reasonOf(low), this.reasonOf(high)];
    if (this.constants.has(low)) this.freeze(Int32Array.of(high), reasonLow!);
    else if (this.constants.has(high)) this.freeze(Int32Array.of(low), reasonHigh!);
    else {
      this.parents[high] = low;
      if (reasonHigh !== undefined) this.freeze(Int32Array.of(low), reasonHigh);
    }
  }
}
