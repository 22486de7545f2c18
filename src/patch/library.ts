import { z } from "zod";
import { LimberError } from "../base/index.js";
import type { RunTensor } from "../run/node.js";

/** What images look like on the whole, channel by channel; of inputs or of features early in a model. */
export interface DomainStatistics {
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** A patch that served in some domain. */
export interface LibraryEntry {
  /** Which model it belongs to, such as the hash of its bytes. */
  readonly parent: string;
  readonly domain: string;
  readonly statistics: DomainStatistics;
  /** Its bytes, or the file that holds them. */
  readonly patch: Uint8Array | { readonly file: string };
  readonly score?: number | undefined;
}

export interface LibraryOptions {
  /** Entries that are kept; the one that was not asked for the longest goes first. Default 32. */
  readonly limit?: number | undefined;
  /** A patch takes the place of one whose domain is closer than this. Default 0.05. */
  readonly same?: number | undefined;
}

/** Mean and deviation of each channel over images and places, in float64. Shapes: [N, C, …]. */
export function statisticsOf({ dims, data }: RunTensor): DomainStatistics {
  const channels = dims[1]!;
  const places = data.length / (dims[0]! * channels);
  const count = dims[0]! * places;
  const channelOf = (at: number): number => Math.floor(at / places) % channels;
  const mean = new Array<number>(channels).fill(0);
  const variance = new Array<number>(channels).fill(0);
  for (let at = 0; at < data.length; at++) mean[channelOf(at)]! += Number(data[at]) / count;
  for (let at = 0; at < data.length; at++)
    variance[channelOf(at)]! += (Number(data[at]) - mean[channelOf(at)]!) ** 2 / count;
  return { mean, deviation: variance.map(Math.sqrt) };
}

/** Mean and deviation over parts of so many images each: deviations about the mean of all. */
export function poolStatistics(
  parts: readonly { readonly statistics: DomainStatistics; readonly count: number }[],
): DomainStatistics {
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  const channels = parts[0]?.statistics.mean ?? [];
  const average = (of: (each: DomainStatistics, channel: number) => number): number[] =>
    channels.map((_, c) => parts.reduce((sum, { statistics, count }) => sum + (count / total) * of(statistics, c), 0));
  const mean = average((each, c) => each.mean[c]!);
  const squares = average((each, c) => each.deviation[c]! ** 2 + (each.mean[c]! - mean[c]!) ** 2);
  return { mean, deviation: squares.map(Math.sqrt) };
}

/**
 * How far apart two domains are: √(mean over channels of (μ − μ')² + (σ − σ')²), the Wasserstein distance of normal distributions.
 * Infinite where they have other channels.
 */
export function statisticsDistance(a: DomainStatistics, b: DomainStatistics): number {
  if (a.mean.length !== b.mean.length) return Infinity;
  const square = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, i) => sum + (value - y[i]!) ** 2, 0);
  return Math.sqrt((square(a.mean, b.mean) + square(a.deviation, b.deviation)) / a.mean.length);
}

/** Past patches, found by how alike the domains are that they served in. */
export class PatchLibrary {
  /** From the one that was not asked for the longest to the latest. */
  private kept: readonly LibraryEntry[] = [];

  constructor(private readonly options: LibraryOptions = {}) {}

  get entries(): readonly LibraryEntry[] {
    return this.kept;
  }

  /** Keeps a patch, in place of one of the same model for the same domain. */
  add(entry: LibraryEntry): void {
    const { limit = 32, same = 0.05 } = this.options;
    const isSame = ({ parent, statistics }: LibraryEntry): boolean =>
      parent === entry.parent && statisticsDistance(statistics, entry.statistics) < same;
    const all = [...this.kept.filter((other) => !isSame(other)), entry];
    this.kept = all.slice(Math.max(0, all.length - limit));
  }

  /** The patch of this model whose domain is nearest, not beyond `within`. */
  findNearest(
    { parent, statistics }: Pick<LibraryEntry, "parent" | "statistics">,
    within = Infinity,
  ): { readonly entry: LibraryEntry; readonly distance: number } | undefined {
    const found = this.kept
      .filter((entry) => entry.parent === parent)
      .map((entry) => ({ entry, distance: statisticsDistance(entry.statistics, statistics) }))
      .filter(({ distance }) => Number.isFinite(distance) && distance <= within)
      .sort((a, b) => a.distance - b.distance)[0];
    if (found) this.kept = [...this.kept.filter((entry) => entry !== found.entry), found.entry];
    return found;
  }

  /** Forgets a patch, such as one whose bytes turned out to be broken. */
  remove(entry: LibraryEntry): void {
    this.kept = this.kept.filter((other) => other !== entry);
  }

  toJSON(): StoredLibrary {
    const patchOf = ({ patch }: LibraryEntry): StoredEntry["patch"] =>
      patch instanceof Uint8Array ? { base64: Buffer.from(patch).toString("base64") } : { file: patch.file };
    return { version: 1, entries: this.kept.map((entry) => ({ ...entry, patch: patchOf(entry) })) };
  }

  /** Entries that are broken are left out and counted. Throws: `data.invalid` for what is no library at all. */
  static fromJSON(json: unknown, options: LibraryOptions = {}): { library: PatchLibrary; skipped: number } {
    const stored = storedLibrary.safeParse(json);
    if (!stored.success) {
      const message = `patch library: an index of version 1, got something else; ${z.prettifyError(stored.error)}`;
      throw new LimberError("data.invalid", message);
    }
    const library = new PatchLibrary(options);
    let skipped = 0;
    for (const each of stored.data.entries) {
      const { data } = storedEntry.safeParse(each);
      if (data) {
        const { patch } = data;
        library.add({ ...data, patch: "file" in patch ? patch : Uint8Array.from(Buffer.from(patch.base64, "base64")) });
      } else skipped++;
    }
    return { library, skipped };
  }
}

const storedEntry = z.object({
  parent: z.string().min(1),
  domain: z.string(),
  statistics: z
    .object({ mean: z.array(z.number()).min(1), deviation: z.array(z.number().min(0)) })
    .refine(({ mean, deviation }) => mean.length === deviation.length),
  patch: z.union([z.object({ base64: z.base64().min(1) }), z.object({ file: z.string().min(1) })]),
  score: z.number().optional(),
});
type StoredEntry = z.output<typeof storedEntry>;

const storedLibrary = z.object({ version: z.literal(1), entries: z.array(z.unknown()) });
type StoredLibrary = z.output<typeof storedLibrary>;
