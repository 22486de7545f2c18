import { LimberError, type Random } from "../base/index.js";

/** Which groups of a backbone get the next patch: the one next to the head, the one next to the image, any, or as told. */
export const PATCH_ORDERS = ["deepFirst", "shallowFirst", "random", "given"] as const;
export type PatchOrder = (typeof PATCH_ORDERS)[number];

export interface PatchOrderOptions {
  readonly order: PatchOrder;
  /** Needed for `random`. */
  readonly random?: Random | undefined;
  /** For `given`: every group once, such as an oracle's order. */
  readonly given?: readonly number[] | undefined;
}

/**
 * Groups, from the image on, in the order in which they get patches.
 *
 * Only `deepFirst` makes fewer patches cheaper: gradients go down to the shallowest patch, and no further.
 * Throws: `config.invalid`.
 */
export function orderGroups(groups: readonly number[], { order, random, given }: PatchOrderOptions): number[] {
  const refuse = (message: string): never => {
    throw new LimberError("config.invalid", `patch order: ${message}`);
  };
  switch (order) {
    case "deepFirst":
      return [...groups].reverse();
    case "shallowFirst":
      return [...groups];
    case "random":
      return random ? random.shuffled(groups) : refuse("random numbers for a random order, got none; give them");
    case "given": {
      const sorted = (of: readonly number[]): string => [...of].sort((a, b) => a - b).join();
      if (given && sorted(given) === sorted(groups)) return [...given];
      return refuse(`each of the groups ${groups.join()} once, got ${given?.join() ?? "none"}; correct it`);
    }
  }
}

/** The groups that `count` patches are for, in ascending order. */
export const groupsFor = (order: readonly number[], count: number): number[] =>
  order.slice(0, Math.max(0, count)).sort((a, b) => a - b);

export interface CourseSoFar {
  /** Why training stopped. */
  readonly reason: string;
  readonly best: number;
  readonly target: number;
}

/** The group that a patch is added to, if any: where training rests below its target, and a group without one is left. */
export function findNextGroup(
  order: readonly number[],
  active: readonly number[],
  { reason, best, target }: CourseSoFar,
): number | undefined {
  return reason === "plateau" && best < target ? order.find((group) => !active.includes(group)) : undefined;
}
