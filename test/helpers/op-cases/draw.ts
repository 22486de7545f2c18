import fc from "fast-check";
import { Random, scalar, sizeOf, type Tensor, tensorOf } from "../../../src/base/index.js";
import type { Attributes } from "../../../src/graph/ir/index.js";

/** One call of an op: what stands in the node, and the values that it reads. */
export interface OpCase {
  readonly inputs: readonly (Tensor | undefined)[];
  readonly attributes?: Attributes;
  /** Number of outputs; 1 when absent. */
  readonly outputs?: number;
  readonly opset?: number;
}

/** Draws the parts of a case; everything comes from fast-check, so a failure shrinks and prints its seed. */
export class Draw {
  constructor(private readonly g: fc.GeneratorValue) {}

  /** Whole number in [low, high]. */
  int = (low: number, high: number): number => this.g(fc.integer, { min: low, max: high });
  flag = (): boolean => this.g(fc.boolean);
  pick = <T>(items: readonly T[]): T => items[this.int(0, items.length - 1)]!;
  list = <T>(count: number, item: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => item(i));

  /** Small sizes. */
  dims = (rank: number, high = 4): number[] => this.list(rank, () => this.int(1, high));
  axis = (rank: number): number => this.int(-rank, rank - 1);
  /** Some axes of a rank, each once, counted from either end. */
  axes = (rank: number): number[] =>
    Array.from({ length: rank }, (_, i) => i)
      .filter(() => this.flag())
      .map((axis) => (this.flag() ? axis - rank : axis));

  shuffled = (count: number): number[] => this.random().shuffled(Array.from({ length: count }, (_, i) => i));

  /** A shape that broadcasts to `dims`: some axes 1, some leading ones left out. */
  broadcastable = (dims: readonly number[]): number[] =>
    dims.map((d) => (this.flag() ? d : 1)).slice(this.int(0, dims.length));

  floats = (dims: readonly number[], low = -2, high = 2): Tensor => {
    const random = this.random();
    return tensorOf(
      "float32",
      dims,
      Float64Array.from({ length: sizeOf(dims) }, () => random.uniform(low, high)),
    );
  };

  /** Whole numbers in [low, high]. */
  ints = (dims: readonly number[], low: number, high: number, dtype: Tensor["dtype"] = "int64"): Tensor => {
    const random = this.random();
    return tensorOf(
      dtype,
      dims,
      Float64Array.from({ length: sizeOf(dims) }, () => random.int(low, high + 1)),
    );
  };

  /** Floats without equal ones, for ops that choose an element. */
  distinct = (dims: readonly number[]): Tensor => {
    const places = this.shuffled(sizeOf(dims));
    return tensorOf(
      "float32",
      dims,
      places.map((place) => place / 8 - 2),
    );
  };

  bools = (dims: readonly number[]): Tensor => this.ints(dims, 0, 1, "bool");

  private random = (): Random => new Random(this.g(fc.nat));
}

export type CaseOf = (draw: Draw) => OpCase;

export const caseArbitrary = (create: CaseOf): fc.Arbitrary<OpCase> => fc.gen().map((g) => create(new Draw(g)));
export const single = (value: number, dtype: Tensor["dtype"] = "float32"): Tensor => scalar(dtype, value);
