import {
  attachLiteResidual,
  attachPatches,
  attachSideNet,
  headOf,
  type Model,
  parametersOf,
  patchParameters,
} from "../../graph/index.js";
import {
  bookCourse,
  type Drift,
  type EpochBudget,
  fineTune,
  forwardMacs,
  type Ledger,
  type LineOptions,
  type Member,
  type PatchLibrary,
  patchLine,
  refreshStatistics,
  type StopRule,
} from "../../patch/index.js";
import { LINE_DEFAULTS } from "../../demo/index.js";
import type { Machine } from "../../run/node.js";
import type { PATCH_KINDS } from "./rows.js";

/** What contestants share: the same machine, budget and stop rule for all. */
export interface Arena {
  readonly machine: Machine;
  readonly threads: number | undefined;
  readonly seed: number;
  readonly batchSize: number;
  readonly budget: EpochBudget & { readonly base: number };
  readonly stop: StopRule;
  readonly ledger: Ledger;
  /** Past patches of this contestant. */
  readonly library: PatchLibrary;
  /** How many patches a drift takes: by the predictor. */
  readonly count: (drift: Drift) => Promise<number>;
  readonly signal?: LineOptions["signal"];
}

/** What a contestant made of a model after a drift. */
export interface Outcome {
  readonly member: Member;
  readonly epochs: number;
  readonly steps: number;
  readonly samples: number;
  readonly patches: number | null;
  readonly start: string | null;
  readonly accepted: boolean;
}

/** A way to follow drifts. It sees the same drifts in the same order as all others, and goes on from what it left. */
export interface PatchContestant {
  readonly name: string;
  readonly kind: (typeof PATCH_KINDS)[number];
  readonly summary: string;
  adapt(members: readonly Member[], drift: Drift, arena: Arena): AsyncIterable<Outcome>;
}

/** What else trains, and what is attached for it. */
interface Tuning {
  readonly learningRate: number;
  /** For PatchLine's few epochs, measured as it is; default: for as many as the arena says. */
  readonly short?: boolean;
  /** The model that trains, made from the source once. */
  prepare(member: Member): { readonly model: Model; readonly parameters: readonly string[] };
}

/** A baseline: trains some parameters of each model on all samples. Statistics of normalization are refreshed first, as PatchLine's are. */
function tuned(name: string, summary: string, { learningRate, short = false, prepare }: Tuning): PatchContestant {
  return {
    ...{ name, summary, kind: "baseline" },
    async *adapt(members, { domain, pool, held }, arena) {
      const { machine, threads, seed, signal, batchSize, ledger } = arena;
      for (const member of members) {
        const { head, preprocessing } = member;
        const prepared = prepare(member);
        const begun = member.serving === member.source ? prepared.model : member.serving;
        const session = { machine, threads, signal };
        const refreshing = { ...session, preprocessing, batchSize, indices: pool };
        const fresh = await refreshStatistics(begun, domain, refreshing);
        const macs = fresh.images * forwardMacs(begun, preprocessing);
        const seconds = fresh.ms / 1000;
        ledger.add({ model: member.name, technique: "statistics", macs, seconds, count: fresh.images });
        const course = await fineTune(fresh.model, domain, {
          ...{ ...session, head, preprocessing, seed, learningRate },
          batchSize: short ? LINE_DEFAULTS.batchSize : batchSize,
          ...{ parameters: prepared.parameters, indices: pool, held },
          ...{ epochs: short ? LINE_DEFAULTS.budget.base : arena.budget.base, stop: arena.stop },
          measureEvery: short ? LINE_DEFAULTS.measureEvery : 1,
        });
        bookCourse(ledger, member, fresh.model, course);
        yield {
          member: { ...member, serving: course.model },
          ...{ epochs: course.losses.length, steps: course.steps, samples: pool.length },
          ...{ patches: null, start: null, accepted: true },
        };
      }
    },
  };
}

const named = (parameters: readonly { readonly name: string }[]): string[] => parameters.map(({ name }) => name);

const whole: Tuning["prepare"] = ({ source }) => ({ model: source, parameters: named(parametersOf(source)) });

const lowRank: Tuning["prepare"] = ({ source, points }) => {
  const model = attachPatches(source, points, { form: "low-rank", ...LINE_DEFAULTS.patch });
  return { model, parameters: patchParameters(model) };
};

/** PatchLine, whole or with some parts replaced. */
function lined(
  name: string,
  kind: "ours" | "ablation" | "baseline",
  summary: string,
  change: (drift: Drift, arena: Arena) => Partial<LineOptions> = () => ({}),
): PatchContestant {
  return {
    ...{ name, kind, summary },
    async *adapt(members, drift, arena) {
      const { machine, threads, seed, signal, stop, ledger, library, count } = arena;
      for await (const { member, courses, samples, start, groups, accepted } of patchLine(members, drift, {
        ...{ ...LINE_DEFAULTS, machine, threads, seed, signal, stop, ledger, library, count },
        ...change(drift, arena),
      })) {
        const sum = (key: (course: (typeof courses)[number]) => number): number =>
          courses.reduce((total, course) => total + key(course), 0);
        yield {
          ...{ member, epochs: sum(({ losses }) => losses.length), steps: sum(({ steps }) => steps) },
          samples,
          ...{ patches: groups.length, start: start.source, accepted },
        };
      }
    },
  };
}

/** Share of the epochs, the last ones, in which only the deepest patch trains, where it is as many patches as are needed. */
const RESTS = 0.25;

/** Everything off: as many patches as there are groups, from nothing, for as many epochs as every baseline, on all samples. */
const cold = ({ budget, batchSize }: Arena): Partial<LineOptions> => ({
  ...{ count: Infinity, grows: false, starts: [], library: undefined, selection: null },
  ...{ measureEvery: 1, targetShare: Infinity, batchSize },
  budget: { ...budget, discount: 0 },
});
const withoutWarmth = { starts: [], library: undefined } as const;

/** All contestants by their names; each differs from PatchLine, or from its parts, in one respect. */
export const PATCH_CONTESTANTS: readonly PatchContestant[] = [
  {
    ...{ name: "frozen", kind: "frozen", summary: "the models as they were trained" },
    async *adapt(members) {
      for (const member of members) {
        await Promise.resolve();
        yield { member, epochs: 0, steps: 0, samples: 0, patches: null, start: null, accepted: true };
      }
    },
  },
  lined("patchline", "ours", "patches as the drift needs, warm starts, few epochs"),
  tuned("full", "all parameters", { learningRate: 1e-3, prepare: whole }),
  tuned("full-short", "all parameters, for PatchLine's few epochs", {
    ...{ learningRate: 1e-3, short: true, prepare: whole },
  }),
  tuned("statistics", "statistics of normalization alone, without labels", {
    learningRate: 1e-3,
    prepare: ({ source }) => ({ model: source, parameters: [] }),
  }),
  tuned("head", "the last layer", {
    learningRate: 1e-3,
    prepare: ({ source }) => ({ model: source, parameters: named(headOf(source)) }),
  }),
  tuned("biases", "scales of normalization and biases (BitFit, TinyTL-B)", {
    learningRate: 3e-3,
    prepare: ({ source }) => ({
      model: source,
      parameters: named(parametersOf(source).filter(({ role }) => role !== "weight")),
    }),
  }),
  tuned("lite-residual", "downsampled residual branches and biases, as TinyTL", {
    learningRate: 3e-3,
    prepare: ({ source, points }) => attachLiteResidual(source, points),
  }),
  tuned("side-net", "a small network beside the frozen one, as Rep-Net", {
    learningRate: 3e-3,
    prepare: ({ source, points }) => attachSideNet(source, points),
  }),
  tuned("conv-lora", "low-rank changes of convolutions", { learningRate: 3e-3, prepare: lowRank }),
  tuned("conv-lora-short", "low-rank changes of convolutions, for PatchLine's few epochs", {
    ...{ learningRate: 1e-2, short: true, prepare: lowRank },
  }),
  lined("patches-cold", "baseline", "all patches, from nothing, for all epochs, on all samples", (_, arena) =>
    cold(arena),
  ),
  lined("without-count", "ablation", "as many patches as groups", () => ({ count: Infinity, grows: false })),
  lined("without-warm", "ablation", "patches start at nothing", () => withoutWarmth),
  lined("with-selection", "ablation", "PatchLine on the most uncertain half of the samples", () => ({ selection: {} })),
  lined(
    "only-patches",
    "ablation",
    "patches-cold, but as many patches as the drift needs, and the deepest alone in the last epochs",
    (_, arena) => ({
      ...cold(arena),
      ...{ count: arena.count, rests: RESTS, grows: true },
    }),
  ),
  lined("only-warm", "ablation", "patches-cold, but with warm starts and fewer epochs from these", (_, arena) => ({
    ...cold(arena),
    ...{ starts: undefined, library: arena.library, budget: arena.budget },
  })),
  lined("only-selection", "ablation", "patches-cold, but on chosen samples", (_, arena) => ({
    ...cold(arena),
    selection: {},
  })),
  lined("only-short", "ablation", "patches-cold, but for PatchLine's few epochs", (_, arena) => ({
    ...cold(arena),
    ...{ budget: { ...LINE_DEFAULTS.budget, discount: 0 }, batchSize: LINE_DEFAULTS.batchSize },
    measureEvery: LINE_DEFAULTS.measureEvery,
  })),
];

export const PATCH_CONTESTANT_NAMES = PATCH_CONTESTANTS.map(({ name }) => name);
