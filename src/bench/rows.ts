import { z } from "zod";
import { MODE_NAMES, MODES, type Mode } from "./modes.js";

/** Ours or a peer's part of a row; `note` says why there is no time, or how the peer does what the row asks. */
const timing = z.object({
  /** Median over the rounds. Units: milliseconds. */
  stepMs: z.number().nullable(),
  prepareMs: z.number().nullable(),
  /** Largest resident memory of its process. Units: 10⁶ bytes. */
  peakMb: z.number().nullable(),
  /** Median over the rounds of its time / our time: above 1 we are faster. */
  ratio: z.number().nullable(),
  rounds: z.number(),
  note: z.string(),
});
export type Timing = z.infer<typeof timing>;

/** One network in one mode. */
export const engineRow = z.object({
  network: z.string(),
  mode: z.literal(MODE_NAMES as [Mode, ...Mode[]]),
  batch: z.number(),
  imageSize: z.number(),
  threads: z.number(),
  /** How our formulations were chosen. */
  tune: z.string(),
  parameters: z.number(),
  /** Multiply-accumulates that a step needs, whoever computes it. Units: 10⁹. */
  gmacs: z.number(),
  /** gmacs per second of ours, by the best rate of a product of matrices. */
  roofShare: z.number().nullable(),
  limber: timing,
  peers: z.record(z.string(), timing),
  /** PyTorch eager's time / our time; null without either. */
  ratio: z.number().nullable(),
  /** Our peak memory / PyTorch eager's: below 1 ours is smaller. */
  memoryRatio: z.number().nullable(),
});
export type EngineRow = z.infer<typeof engineRow>;

export interface Headline {
  readonly geomeanFull: number | null;
  readonly geomeanSelective: number | null;
  readonly geomeanInference: number | null;
  readonly worst: { readonly network: string; readonly mode: Mode; readonly ratio: number } | null;
  /** Geometric means over the rows that count. */
  readonly roofShare: number | null;
  readonly memoryRatio: number | null;
}

/** The figures over all rows but those of modes that only stand beside. */
export function summarize(rows: readonly EngineRow[]): Headline {
  const counted = rows.filter(({ mode }) => MODES[mode].part !== undefined);
  const geomeanOf = (part: (typeof MODES)[Mode]["part"]): number | null =>
    geomean(counted.flatMap(({ mode, ratio }) => (MODES[mode].part === part ? [ratio] : [])));
  const [worst] = worstFirst(counted);
  return {
    geomeanFull: geomeanOf("full"),
    geomeanSelective: geomeanOf("selective"),
    geomeanInference: geomeanOf("inference"),
    worst: worst && worst.ratio !== null ? { network: worst.network, mode: worst.mode, ratio: worst.ratio } : null,
    roofShare: geomean(counted.map(({ roofShare }) => roofShare)),
    memoryRatio: geomean(counted.map(({ memoryRatio }) => memoryRatio)),
  };
}

/** Rows by their ratio, those without one last. */
export const worstFirst = (rows: readonly EngineRow[]): EngineRow[] =>
  [...rows].sort((a, b) => (a.ratio ?? Infinity) - (b.ratio ?? Infinity));

/** Geometric mean of what is there; null of nothing. */
export function geomean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.exp(known.reduce((sum, value) => sum + Math.log(value), 0) / known.length);
}

/** A row as one flat record, for a table in a file: the same columns for every row, empty where there is no figure. */
export function flatten(
  { limber, peers, ...row }: EngineRow,
  names: readonly string[],
): Record<string, string | number> {
  const parts = [["limber", limber] as const, ...names.map((name) => [name, peers[name] ?? ABSENT] as const)];
  const columns = parts.flatMap(([name, part]) =>
    Object.entries(part).map(([key, value]) => [`${name} ${key}`, value] as const),
  );
  return Object.fromEntries([...Object.entries(row), ...columns].map(([key, value]) => [key, value ?? ""] as const));
}

const ABSENT: Timing = { stepMs: null, prepareMs: null, peakMb: null, ratio: null, rounds: 0, note: "" };
