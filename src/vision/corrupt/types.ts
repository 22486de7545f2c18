import type { Random } from "../../base/index.js";
import type { Field } from "./field.js";

/** Which published parameter table applies: CIFAR-10-C was tuned for 32 pixels, ImageNet-C for 224. */
export const CORRUPTION_FAMILIES = ["cifar", "imagenet"] as const;
export type CorruptionFamily = (typeof CORRUPTION_FAMILIES)[number];

export const SEVERITIES = [1, 2, 3, 4, 5] as const;
export type Severity = (typeof SEVERITIES)[number];

/**
 * The set that a corruption belongs to: the 15 that papers report, the 4 held out for tuning, or PatchLine's own.
 * Tuning a method on a reported corruption and then reporting it is the mistake this label is there to prevent.
 */
export type CorruptionSet = "reported" | "held-out" | "patchline";

/** One entry per severity, 1 to 5. */
export type BySeverity<T> = readonly [T, T, T, T, T];

/** A corruption as data: its published parameters and the pure function they go into. Lengths are in pixels. */
export interface Corruption<P extends readonly number[] = readonly number[]> {
  readonly set: CorruptionSet;
  readonly parameters: Readonly<Record<CorruptionFamily, BySeverity<P>>>;
  /** Returns a new field; values outside of [0, 1] are clipped by the caller. */
  apply(image: Field, parameters: P, random: Random): Field | Promise<Field>;
}

/** Forgets the shape of the parameters, once `apply` has been checked against it. */
export const corruption = <P extends readonly number[]>(entry: Corruption<P>): Corruption => entry;

/** A table row of one number per severity. */
export const each = (a: number, b: number, c: number, d: number, e: number): BySeverity<[number]> => [
  [a],
  [b],
  [c],
  [d],
  [e],
];
