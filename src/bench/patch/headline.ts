import type { Technique } from "../../patch/index.js";
import { macsOf, type PatchRow } from "./rows.js";

/** Means of a contestant in a cell: over its drifts and seeds. */
export interface CellMean {
  readonly contestant: string;
  readonly kind: PatchRow["kind"];
  readonly score: number;
  readonly macs: number;
  readonly seconds: number;
}

/** A model of a data set, and who does best there. */
export interface Cell {
  readonly dataset: string;
  readonly task: string;
  readonly backbone: string;
  readonly platform: PatchRow["platform"];
  readonly sourceScore: number;
  readonly contestants: readonly CellMean[];
  /** The cheapest baseline that is as good as PatchLine, but for half a point; the best one where none is. */
  readonly bestBaseline: string | null;
  /** 1 − our work / its work. */
  readonly costReduction: number | null;
  /** Our score less that of full fine-tuning. Units: points. */
  readonly accuracyVsFullPoints: number | null;
}

/** What a cell is called in a table. */
export const nameCell = ({
  dataset,
  backbone,
  task,
  platform,
}: Pick<Cell, "dataset" | "backbone" | "task" | "platform">): string =>
  `${dataset} ${backbone} ${task}${platform === "wasm" ? " in a browser" : ""}`;

export interface PatchHeadline {
  /** Mean over the cells. Paper: 0.55. */
  readonly costReduction: number | null;
  readonly accuracyVsFullPoints: number | null;
  /** Work that each technique alone saves of patches-cold. */
  readonly byTechnique: Readonly<Record<"patches" | "warm" | "selection", number | null>>;
  /** In most cells. */
  readonly bestBaseline: string | null;
  readonly cells: readonly Cell[];
}

const OURS = "patchline";
/** As good as: what chance makes of scores. Units: share. */
const TOLERANCE = 0.005;
const ALONE = { patches: "only-patches", warm: "only-warm", selection: "only-selection" } as const;

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanOrNull = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : meanOf(known);
};

/** The figures of a bench, cell by cell. */
export function headlineOf(rows: readonly PatchRow[]): PatchHeadline {
  const keyOf = ({ dataset, task, backbone, platform }: PatchRow): string =>
    [dataset, task, backbone, platform].join(" ");
  const cells = [...new Set(rows.map(keyOf))].map((key) => cellOf(rows.filter((row) => keyOf(row) === key)));
  const counts = new Map<string, number>();
  for (const { bestBaseline } of cells) if (bestBaseline) counts.set(bestBaseline, (counts.get(bestBaseline) ?? 0) + 1);
  const saved = (name: string): number | null =>
    meanOrNull(cells.map((cell) => reduction(findMean(cell, name), findMean(cell, "patches-cold"))));
  return {
    costReduction: meanOrNull(cells.map((cell) => cell.costReduction)),
    accuracyVsFullPoints: meanOrNull(cells.map((cell) => cell.accuracyVsFullPoints)),
    byTechnique: { patches: saved(ALONE.patches), warm: saved(ALONE.warm), selection: saved(ALONE.selection) },
    bestBaseline: [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null,
    cells,
  };
}

const findMean = ({ contestants }: Pick<Cell, "contestants">, name: string): CellMean | undefined =>
  contestants.find(({ contestant }) => contestant === name);

const reduction = (ours: CellMean | undefined, other: CellMean | undefined): number | null =>
  ours && other && other.macs > 0 ? 1 - ours.macs / other.macs : null;

function cellOf(rows: readonly PatchRow[]): Cell {
  const { dataset, task, backbone, platform } = rows[0]!;
  const names = [...new Set(rows.map(({ contestant }) => contestant))];
  const contestants = names.map((contestant): CellMean => {
    const own = rows.filter((row) => row.contestant === contestant);
    return {
      ...{ contestant, kind: own[0]!.kind, score: meanOf(own.map(({ score }) => score)) },
      ...{ macs: meanOf(own.map(macsOf)), seconds: meanOf(own.map(({ seconds }) => seconds)) },
    };
  });
  const [ours, full] = [OURS, "full"].map((name) => findMean({ contestants }, name));
  const baselines = contestants.filter(({ kind }) => kind === "baseline");
  const good = baselines.filter(({ score }) => ours && score >= ours.score - TOLERANCE);
  const best =
    good.length > 0
      ? good.reduce((a, b) => (b.macs < a.macs ? b : a))
      : baselines.reduce<CellMean | undefined>((a, b) => (a && a.score >= b.score ? a : b), undefined);
  return {
    ...{ dataset, task, backbone, platform, contestants },
    sourceScore: meanOf(rows.map(({ sourceScore }) => sourceScore)),
    bestBaseline: ours && best ? best.contestant : null,
    costReduction: reduction(ours, best),
    accuracyVsFullPoints: ours && full ? 100 * (ours.score - full.score) : null,
  };
}

/** Mean work of a contestant in a row by what it is spent on. */
export function workOf(rows: readonly PatchRow[], contestant: string): Readonly<Partial<Record<Technique, number>>> {
  const own = rows.filter((row) => row.contestant === contestant);
  const techniques = new Set(own.flatMap(({ macs }) => Object.keys(macs) as Technique[]));
  return Object.fromEntries([...techniques].map((each) => [each, meanOf(own.map(({ macs }) => macs[each] ?? 0))]));
}
