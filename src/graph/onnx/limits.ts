import { LimberError } from "../../base/index.js";

/** What a model file may be at most. A larger one is refused before memory is taken for it. */
export interface ReadLimits {
  /** Units: bytes. */
  readonly fileBytes: number;
  /** Nodes, nested graphs included. */
  readonly nodes: number;
  /** Of one tensor. Units: bytes. */
  readonly tensorBytes: number;
  /** Axes of one tensor. */
  readonly rank: number;
  /** Graphs inside of graphs. */
  readonly nesting: number;
}

export const DEFAULT_LIMITS: ReadLimits = {
  fileBytes: 2 ** 31 - 1, // protobuf ends here anyway
  nodes: 100_000,
  tensorBytes: 2 ** 30,
  rank: 16,
  nesting: 8,
};

export function checkLimit(subject: string, limit: keyof ReadLimits, limits: ReadLimits, value: number): void {
  if (value <= limits[limit]) return;
  const message = `${subject}: at most ${limits[limit]} (limit "${limit}"), got ${value}; raise the limit if you trust the file`;
  throw new LimberError("limit.exceeded", message, { limit, maximum: limits[limit], value });
}
