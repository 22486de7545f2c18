import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isLimberError, type LongCall } from "../../base/index.js";
import { fixSparsity, selectStatistics } from "../../graph/index.js";
import { createMachine, readModelFile, type SessionOptions } from "../../run/node.js";
import {
  corruptDomain,
  type CorruptionName,
  corruptionNames,
  createWorld,
  parsePreprocessing,
  preprocessingFromMetadata,
  SEVERITIES,
  type Severity,
  taskOf,
} from "../../vision/index.js";
import { createMember } from "../../patch/index.js";
import { ElasticLearner } from "../apps/elastic-learner.js";
import { methodOf } from "../apps/methods.js";
import { PatchLearner } from "../apps/patch-learner.js";
import type { Trace } from "../trace.js";
import { type RecordedApp, type RecordedDrift, recordTrace } from "./record-trace.js";
import { readTrace, writeTrace } from "./trace-file.js";

/** Kinds of apps that come with Limber. */
export const TRACE_KINDS = ["classification", "detection", "segmentation", "patch-segmentation"] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];

export interface RecordTracesOptions extends LongCall, SessionOptions {
  /** Where traces go, one `<kind>.json` each; drifts that are there already are not recorded again. */
  readonly folder: string;
  readonly kinds?: readonly TraceKind[] | undefined;
  readonly sparsities?: readonly number[] | undefined;
  /** Pictures to learn from, and to measure on, of each drift. Default: by kind. */
  readonly pool?: number | undefined;
  readonly held?: number | undefined;
  readonly steps?: readonly number[] | undefined;
  /** Measures costs again, where those of a trace that is there were taken on a busy or another machine. */
  readonly reprofiles?: boolean | undefined;
}

/** How a kind is recorded. */
interface KindPlan {
  readonly model: string;
  /** Of an ElasticDNN app; nothing: PatchLine's, whose levels are numbers of patches. */
  readonly sparsities?: readonly number[];
  readonly steps: readonly number[];
  readonly pool: number;
  readonly held: number;
}

/** A score of boxes or masks takes longer than one of classes. */
const DENSE = { steps: [0, 4, 10, 20], pool: 64, held: 128 };
const PLANS: Readonly<Record<TraceKind, KindPlan>> = {
  classification: {
    ...{ model: "schedule/classification", sparsities: [0.8, 0.6, 0.4, 0] },
    ...{ steps: [0, 2, 5, 10, 20, 40], pool: 96, held: 160 },
  },
  detection: { ...DENSE, model: "schedule/detection", sparsities: [0.8, 0.4, 0] },
  // the smallest networks in its master are of no use, see models/README.md
  segmentation: { ...DENSE, model: "schedule/segmentation", sparsities: [0.6, 0.4, 0.2, 0] },
  "patch-segmentation": { ...DENSE, model: "line/resnet-segmentation", steps: [0, 4, 12, 32], pool: 96 },
};
/** As in the line, see docs/patchline.md. */
const PATCHES = { learningRate: 0.003, patches: { form: "joint" } } as const;

/**
 * Records the embedded world for each kind: its domains, and day under corruptions, from which estimators learn.
 * Throws: `aborted`, `io.not-found`.
 */
export async function recordTraces(options: RecordTracesOptions): Promise<readonly Trace[]> {
  const traces: Trace[] = [];
  for (const kind of options.kinds ?? TRACE_KINDS) traces.push(await recordKind(kind, options));
  return traces;
}

/** An app of a kind that comes with Limber. Throws: `io.not-found`. */
export async function openWorldKind(
  kind: TraceKind,
  options: Pick<RecordTracesOptions, "sparsities" | "threads">,
): Promise<RecordedApp> {
  const plan = PLANS[kind];
  const model = await readModelFile(fileURLToPath(new URL(`../../../models/${plan.model}.onnx`, import.meta.url)));
  const { sparsities = plan.sparsities, threads } = options;
  const preprocessing = parsePreprocessing(preprocessingFromMetadata(model.metadata));
  const task = taskOf(model);
  const shared = { kind, task: task.name, metric: task.metric, preprocessing };
  if (!plan.sparsities) {
    const member = createMember(model, { name: kind, preprocessing, before: 0 });
    return {
      ...{ ...shared, head: member.head, isTaught: true },
      createLearner: (machine, trainers) => new PatchLearner(member, { ...PATCHES, machine, trainers, threads }),
    };
  }
  const head = task.open(fixSparsity(selectStatistics(model, 0), 0), preprocessing);
  const learns = methodOf(task.name, head);
  return {
    ...{ ...shared, head, isTaught: learns.method.labels === "required" },
    createLearner: (machine, trainers) =>
      new ElasticLearner(model, { ...learns, preprocessing, sparsities, machine, trainers, threads }),
  };
}

async function recordKind(kind: TraceKind, options: RecordTracesOptions): Promise<Trace> {
  const plan = PLANS[kind];
  const { folder, pool = plan.pool, held = plan.held, steps = plan.steps } = options;
  const { threads, optimization, signal, onProgress } = options;
  const app = await openWorldKind(kind, options);
  const path = join(folder, `${kind}.json`);
  const world = createWorld();
  const [source, ...domains] = world.dataset("test", pool + held).domains;
  const [day] = world.dataset("validation", pool + held, [source!.name]).domains;
  const drifts = mix(
    domains.map((domain) => ({ name: domain.name, isValidation: false, domain })),
    listShifts().map((shift) => {
      const domain = shift.reduce(
        (each, [corruption, severity]) => corruptDomain(each, corruption, { severity, seed: severity }),
        day!,
      );
      const name = shift.map(([corruption, severity]) => `${corruption} ${severity}`).join(", ");
      return { name, isValidation: true, domain };
    }),
  );
  await using machine = createMachine();
  const before = await findTrace(path);
  const trace = await recordTrace(app, {
    ...{ machine, source: day!, drifts, steps, pool, held, batchSize: 32, threads, optimization, signal, onProgress },
    command: `limber bench schedule --record-to assets/traces`,
    machineName: `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} threads, one used`,
    recorded: before && options.reprofiles ? { ...before, levels: [] } : before,
    onRecorded: (partial) => writeTrace(path, partial),
  });
  await writeTrace(path, trace);
  return trace;
}

/** Corruptions, one upon the other. */
type Shift = readonly (readonly [CorruptionName, Severity])[];

/**
 * Some published corruptions at their strongest, without which estimates take every drift for a mild one; then each once, at severities in turn, and
 * those that masters were trained under, strong; then pairs, since drifts that models suffer most from change several things at once.
 */
const listShifts = (): readonly Shift[] => [
  [["contrast", 4]],
  ...(["fog", "frost", "brightness", "snow", "impulse_noise"] as const).map((name): Shift => [[name, 5]]),
  ...corruptionNames("reported").map((name, i): Shift => [[name, SEVERITIES[(2 * i + 2) % SEVERITIES.length]!]]),
  ...corruptionNames("held-out").map((name): Shift => [[name, 5]]),
  ...PAIRS,
];

const PAIRS: readonly Shift[] = [
  [
    ["fog", 4],
    ["gaussian_noise", 5],
  ],
  [
    ["brightness", 5],
    ["contrast", 3],
  ],
  [
    ["frost", 5],
    ["motion_blur", 5],
  ],
  [
    ["contrast", 3],
    ["shot_noise", 5],
  ],
  [
    ["snow", 5],
    ["fog", 3],
  ],
  [
    ["saturate", 5],
    ["contrast", 4],
  ],
  [
    ["frost", 5],
    ["fog", 3],
  ],
  [
    ["brightness", 5],
    ["zoom_blur", 5],
  ],
  [
    ["spatter", 5],
    ["contrast", 3],
  ],
  [
    ["snow", 5],
    ["brightness", 5],
  ],
  [
    ["elastic_transform", 5],
    ["frost", 4],
  ],
  [
    ["fog", 5],
    ["brightness", 4],
  ],
];

/** What was recorded there before, if anything. Throws: `data.invalid`. */
async function findTrace(path: string): Promise<Trace | undefined> {
  try {
    return await readTrace(path);
  } catch (error) {
    if (isLimberError(error, "io.not-found")) return undefined;
    throw error;
  }
}

/** Both in turn, so that what is there early has some of each. */
function mix(a: readonly RecordedDrift[], b: readonly RecordedDrift[]): RecordedDrift[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => [a[i], b[i]])
    .flat()
    .filter((drift) => drift !== undefined);
}
