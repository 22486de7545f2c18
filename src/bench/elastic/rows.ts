import { z } from "zod";

/**
 * What a contestant is: `source` and `frozen` are the large and the small network as trained, `same-size` and `large` a method on them,
 * `compressed` is large, adapted, then cut, `guarded` ElasticDNN with the source model to fall back on.
 */
export const KINDS = [
  "source",
  "elastic",
  "frozen",
  "same-size",
  "large",
  "compressed",
  "guarded",
  "ablation",
] as const;
export type Kind = (typeof KINDS)[number];

const setting = z.strictObject({
  learningRate: z.number().optional(),
  /** Go on from stay to stay, rather than start each from the network as it was trained. */
  continual: z.boolean().optional(),
  /** Whether it trains normalization, or all that the sensitive filters are made of. */
  trains: z.enum(["norm", "features"]).optional(),
});

/** What is chosen on validation shifts. */
export type Setting = Readonly<z.output<typeof setting>>;

/** Where adaptation stood after so many steps. */
const curvePoint = z.strictObject({
  step: z.int(),
  /** Of the steps so far. */
  adaptSeconds: z.number(),
  /** On the test images. */
  accuracy: z.number(),
});
export type CurvePoint = Readonly<z.output<typeof curvePoint>>;

const share = z.number().min(0).max(1);
const count = z.int().min(0);

/** One contestant in one stay. */
export const elasticRow = z.strictObject({
  /** Stands for networks, data and options: rows of the same run can be compared. */
  run: z.string(),
  contestant: z.string(),
  kind: z.literal(KINDS),
  method: z.string(),
  setting,
  seed: count,
  /** Of the stay in the sequence. */
  position: count,
  domain: z.string(),
  round: count,
  images: count,
  testImages: count,
  /** On the test images before anything was adapted in this stay; null where it was not measured. */
  beforeAccuracy: share.nullable(),
  /** On the arriving images, each predicted before it was adapted to. */
  onlineAccuracy: share,
  /** On the test images. */
  afterAccuracy: share,
  /** Adaptation steps alone. */
  adaptSeconds: z.number(),
  steps: count,
  /** Making the network for the domain, and finding out what trains: nothing where it is the same for all. */
  generationSeconds: z.number(),
  /** All of the stay but its measurements: with compiling steps and loading models. */
  wallSeconds: z.number(),
  /** Of one image. */
  macs: z.number(),
  /** Trained numbers, four bytes each. */
  sizeBytes: z.number(),
  /** What weights, state and values of the largest graph that adapts take at once, as planned from the graph. */
  peakBytes: z.number(),
  refused: count,
  collapses: count,
  /** Accuracy as adaptation went on, where it was asked for. */
  curve: z.array(curvePoint).readonly(),
});
export type ElasticRow = Readonly<z.output<typeof elasticRow>>;

/** A row as one flat record, for a table in a file: the same columns for every row, empty where there is no figure. */
export function flattenElastic(row: ElasticRow): Record<string, unknown> {
  const { learningRate, continual, trains } = row.setting;
  const flat = { ...row, setting: undefined, curve: row.curve.length };
  const columns = elasticRow.keyof().options.filter((key) => key !== "setting");
  const entries = [
    ...columns.map((key) => [key, flat[key]] as const),
    ...Object.entries({ learningRate, continual, trains }),
  ];
  return Object.fromEntries(entries.map(([key, value]) => [key, value ?? ""]));
}

/** Means over stays and seeds of one contestant. Units: shares in [0, 1]; seconds per stay. */
export interface ContestantFigures {
  readonly contestant: string;
  readonly kind: Kind;
  readonly method: string;
  readonly stays: number;
  readonly onlineAccuracy: number;
  readonly afterAccuracy: number;
  /** After-adaptation accuracy at the first stay in a domain less that at later ones; null without recurrence. */
  readonly forgetting: number | null;
  readonly adaptSeconds: number;
  readonly generationSeconds: number;
  readonly wallSeconds: number;
  readonly macs: number;
  readonly sizeBytes: number;
  /** The largest of all stays. */
  readonly peakBytes: number;
  /** ElasticDNN's accuracy less this one's, over the stays that both have. Units: points. */
  readonly elasticGainPoints: number | null;
  /** This one's accuracy less the source model's in its worst domain, over all stays there. Units: points. */
  readonly worstVsSourcePoints: number | null;
}

/** Units: points of after-adaptation accuracy; ratios above 1 where ElasticDNN is faster. Null without a contestant to compare with. */
export interface ElasticHeadline {
  /** Over the mean of all same-size methods. */
  readonly gainPoints: number | null;
  readonly gainOverBestSameSizePoints: number | null;
  /** Adaptation time of the same method on the large network / ours. */
  readonly timeRatioLarge: number | null;
  /** Adaptation time of the best same-size method / ours until its accuracy, over the stays in which ours gets there. */
  readonly timeToAccuracyRatio: number | null;
  /** The least gain over the frozen source model in any domain, over all stays in it. */
  readonly worstVsSourcePoints: number | null;
  readonly seeds: number;
}

/** Beside the headline: what its ratios are over. */
export interface ElasticNotes {
  readonly bestSameSize: string | null;
  readonly worstDomain: string | null;
  /** Stays in which ours gets to the accuracy of the best same-size method; all of them. */
  readonly reached: number;
  readonly stays: number;
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const POINTS = 100;

/** Rows with what another contestant did in the same stay. */
function beside(rows: readonly ElasticRow[], others: readonly ElasticRow[]): (readonly [ElasticRow, ElasticRow])[] {
  const keyOf = ({ seed, position }: ElasticRow): string => `${seed}/${position}`;
  const found = new Map(others.map((row) => [keyOf(row), row]));
  return rows.flatMap((row) => (found.has(keyOf(row)) ? [[row, found.get(keyOf(row))!] as const] : []));
}

function gainOf(rows: readonly ElasticRow[], others: readonly ElasticRow[]): number | null {
  const pairs = beside(rows, others);
  return pairs.length === 0 ? null : POINTS * meanOf(pairs.map(([a, b]) => a.afterAccuracy - b.afterAccuracy));
}

function groupBy<K>(rows: readonly ElasticRow[], keyOf: (row: ElasticRow) => K): Map<K, ElasticRow[]> {
  const groups = new Map<K, ElasticRow[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

/** The domain in which rows gain least over others, which they are not. */
function worstOf(
  rows: readonly ElasticRow[],
  others: readonly ElasticRow[],
): { readonly domain: string; readonly gain: number } | undefined {
  if (rows[0]?.contestant === others[0]?.contestant) return undefined;
  return [...groupBy(rows, ({ domain }) => domain)]
    .flatMap(([domain, own]) => {
      const gain = gainOf(own, others);
      return gain === null ? [] : [{ domain, gain }];
    })
    .sort((a, b) => a.gain - b.gain)[0];
}

type MeanKey =
  ("onlineAccuracy" | "afterAccuracy" | "adaptSeconds" | "generationSeconds") | ("wallSeconds" | "macs" | "sizeBytes");

/** Each contestant's means, in the order of the rows. */
export function summarizeContestants(rows: readonly ElasticRow[]): ContestantFigures[] {
  const elastic = rows.filter(({ kind }) => kind === "elastic");
  const source = rows.filter(({ kind }) => kind === "source");
  return [...groupBy(rows, ({ contestant }) => contestant).values()].map((own): ContestantFigures => {
    const mean = (key: MeanKey): number => meanOf(own.map((row) => row[key]));
    const { contestant, kind, method } = own[0]!;
    return {
      ...{ contestant, kind, method, stays: own.length },
      ...{
        onlineAccuracy: mean("onlineAccuracy"),
        afterAccuracy: mean("afterAccuracy"),
        forgetting: forgettingOf(own),
      },
      ...{ adaptSeconds: mean("adaptSeconds"), generationSeconds: mean("generationSeconds") },
      ...{ wallSeconds: mean("wallSeconds"), macs: mean("macs"), sizeBytes: mean("sizeBytes") },
      peakBytes: Math.max(...own.map((row) => row.peakBytes)),
      elasticGainPoints: kind === "elastic" ? null : gainOf(elastic, own),
      worstVsSourcePoints: worstOf(own, source)?.gain ?? null,
    };
  });
}

function forgettingOf(rows: readonly ElasticRow[]): number | null {
  const losses = [...groupBy(rows, ({ seed, domain }) => `${seed}/${domain}`).values()].flatMap((stays) => {
    const first = stays.find(({ round }) => round === 0);
    return first ? stays.flatMap((row) => (row.round > 0 ? [first.afterAccuracy - row.afterAccuracy] : [])) : [];
  });
  return losses.length === 0 ? null : meanOf(losses);
}

/** The figures of the whole bench. */
export function summarizeElastic(rows: readonly ElasticRow[]): { headline: ElasticHeadline; notes: ElasticNotes } {
  const ofKind = (kind: Kind): ElasticRow[] => rows.filter((row) => row.kind === kind);
  const [elastic, source] = [ofKind("elastic"), ofKind("source")];
  const sameSize = [...groupBy(ofKind("same-size"), ({ contestant }) => contestant).values()];
  const gains = sameSize.flatMap((own) => gainOf(elastic, own) ?? []);
  const least = gains.length > 0 ? Math.min(...gains) : null;
  const best = sameSize.find((own) => least !== null && gainOf(elastic, own) === least) ?? [];
  const worst = worstOf(elastic, source);
  const large = beside(
    elastic,
    ofKind("large").filter(({ method }) => method === elastic[0]?.method),
  );
  const races = beside(elastic, best).flatMap(([ours, theirs]) => {
    const seconds = secondsTo(theirs.afterAccuracy, ours);
    return seconds === undefined ? [] : [{ ours: seconds, theirs: theirs.adaptSeconds }];
  });
  const ratioOf = (pairs: readonly { ours: number; theirs: number }[]): number | null =>
    sumOf(pairs.map(({ theirs }) => theirs)) / sumOf(pairs.map(({ ours }) => ours)) || null;
  return {
    headline: {
      gainPoints: gains.length > 0 ? meanOf(gains) : null,
      gainOverBestSameSizePoints: least,
      timeRatioLarge: ratioOf(large.map(([a, b]) => ({ ours: a.adaptSeconds, theirs: b.adaptSeconds }))),
      timeToAccuracyRatio: ratioOf(races),
      worstVsSourcePoints: worst?.gain ?? null,
      seeds: new Set(rows.map(({ seed }) => seed)).size,
    },
    notes: {
      ...{ bestSameSize: best[0]?.contestant ?? null, worstDomain: worst?.domain ?? null },
      ...{ reached: races.length, stays: elastic.length },
    },
  };
}

/**
 * Adaptation time until an accuracy, read off the measured curve; without one, accuracy is taken to rise evenly from before the first
 * step to after the last. At least the time of one step, also where it was reached before. Undefined where it never is.
 */
export function secondsTo(accuracy: number, row: ElasticRow): number | undefined {
  const { beforeAccuracy, afterAccuracy, adaptSeconds, steps, curve } = row;
  const before = beforeAccuracy ?? afterAccuracy;
  const least = adaptSeconds / Math.max(1, steps);
  if (before >= accuracy) return least;
  const end = { adaptSeconds, accuracy: afterAccuracy };
  if (curve.length > 0) return [...curve, end].find((point) => point.accuracy >= accuracy)?.adaptSeconds;
  if (afterAccuracy < accuracy) return undefined;
  return Math.max(least, (adaptSeconds * (accuracy - before)) / (afterAccuracy - before));
}
