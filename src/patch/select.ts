import { LimberError, type Random } from "../base/index.js";

/** Whose word the labels are: given ones are right, those of a teacher nearly so, a model's own are doubtful where it is unsure. */
export const LABEL_SOURCES = ["given", "teacher", "pseudo"] as const;
export type LabelSource = (typeof LABEL_SOURCES)[number];

export interface SelectionOptions {
  /** Share of the samples that train. Default 0.5. */
  readonly share?: number | undefined;
  /** How many train, instead of a share. */
  readonly count?: number | undefined;
  /** At least as many, where there are as many: two batches, say. Default 0. */
  readonly least?: number | undefined;
  /** Default `given`. */
  readonly labelSource?: LabelSource | undefined;
  /** The class of each sample, from whatever source; absent, or negative for a sample: no class is capped. */
  readonly labels?: ArrayLike<number> | undefined;
  /** How many classes there are; needed with `labels`. */
  readonly classes?: number | undefined;
  /** Share of the most uncertain samples that are left out with pseudo-labels. Default 0.02. */
  readonly outliers?: number | undefined;
  /** Pseudo-labels of samples more uncertain than this are not believed. Default 0.4. */
  readonly ceiling?: number | undefined;
  /** Draws as many at random instead: no sample is left out for its uncertainty. */
  readonly random?: Random | undefined;
}

export interface Selection {
  /** Positions of the samples that train, in ascending order. */
  readonly kept: readonly number[];
  /** How many were left out as outliers, as above the ceiling, for their class having enough, or for an uncertainty that is no number. */
  readonly left: {
    readonly outliers: number;
    readonly doubtful: number;
    readonly capped: number;
    readonly broken: number;
  };
  /** Samples beyond the ceiling or the cap of their class that `least` took nevertheless. */
  readonly forced: number;
}

/** No class takes more than this many times its fair part. */
const CLASS_CAP = 2;

/**
 * Chooses what a model trains on: the samples it is most unsure of, of each class at most twice its fair part.
 *
 * With pseudo-labels the most uncertain samples are taken for outliers and others above a ceiling for mislabelled; the rest is ranked
 * as ever. Equal uncertainties keep their order. Uncertainties are in [0, 1], as `TaskHead.uncertainty` gives them.
 *
 * Source: PatchLine, entropy-based sample selection; the ceiling: EATA, Niu et al. 2022, arXiv:2204.02610.
 * Throws: `config.invalid`.
 */
export function chooseSamples(uncertainty: ArrayLike<number>, options: SelectionOptions = {}): Selection {
  checkOptions(uncertainty, options);
  const { share = 0.5, least = 0, labelSource = "given", outliers = 0.02, ceiling = 0.4, random } = options;
  const all = Array.from(uncertainty);
  const usable = [...all.keys()].filter((i) => Number.isFinite(all[i]));
  const ranked = random ? random.shuffled(usable) : usable.sort((a, b) => all[b]! - all[a]! || a - b);
  const doubts = labelSource === "pseudo" && !random;
  const extreme = doubts ? Math.floor(outliers * ranked.length) : 0;
  const inside = ranked.slice(extreme);
  const [believed, doubtful] = [true, false].map((wanted) =>
    inside.filter((i) => (!doubts || all[i]! <= ceiling) === wanted),
  ) as [number[], number[]];
  const wanted = Math.max(options.count ?? Math.ceil(share * all.length - 1e-9), least);

  const kept = takeCapped(believed, wanted, options);
  const capped = Math.min(wanted, believed.length) - kept.length;
  // the surest first: of labels that are not believed they are the likeliest to be right
  const rest = [...believed, ...doubtful.reverse()];
  const chosen = new Set(kept);
  const spare = rest.filter((i) => !chosen.has(i)).slice(0, Math.max(0, least - kept.length));
  return {
    kept: [...kept, ...spare].sort((a, b) => a - b),
    left: {
      outliers: extreme,
      doubtful: doubtful.length,
      capped,
      broken: all.length - usable.length,
    },
    forced: spare.length,
  };
}

/** The first `wanted` of a ranking, of each class no more than its cap. */
function takeCapped(ranking: readonly number[], wanted: number, { labels, classes }: SelectionOptions): number[] {
  const cap = labels ? Math.max(1, Math.floor((CLASS_CAP * wanted) / classes!)) : Infinity;
  const taken = new Map<number, number>();
  const kept: number[] = [];
  for (const i of ranking) {
    if (kept.length >= wanted) break;
    const label = labels?.[i] ?? -1;
    const before = taken.get(label) ?? 0;
    if (label >= 0 && before >= cap) continue;
    taken.set(label, before + 1);
    kept.push(i);
  }
  return kept;
}

function checkOptions({ length }: ArrayLike<number>, { labels, classes, ...options }: SelectionOptions): void {
  const refuse = (subject: string, expected: string, got: unknown): never => {
    throw new LimberError("config.invalid", `${subject}: ${expected}, got ${String(got)}; correct it`);
  };
  for (const name of ["share", "outliers", "ceiling"] as const) {
    const value = options[name] ?? 0;
    if (!(value >= 0 && value <= 1)) refuse(name, "a number from 0 to 1", value);
  }
  for (const name of ["count", "least"] as const) {
    const value = options[name] ?? 0;
    if (!(Number.isSafeInteger(value) && value >= 0)) refuse(name, "a whole number of 0 or more", value);
  }
  if (!labels) return;
  if (labels.length !== length) refuse("labels", `one for each of ${length} samples`, labels.length);
  if (!(Number.isSafeInteger(classes) && classes! > 0))
    refuse("classes", "a whole number above 0 with labels", classes);
}
