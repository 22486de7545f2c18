import { createHash } from "node:crypto";
import { join } from "node:path";
import type { LongCall } from "../base/index.js";
import { createMachine, type Machine, type MachineOptions, type RunTensor, type SessionOptions } from "../run/node.js";
import {
  type AppOptions,
  type Frame,
  HostedApp,
  interpolateLevels,
  type Level,
  type Lesson,
  levelsOfProfile,
  type LiveApp,
  measureSource,
  openApp,
  openWorldKind,
  profileApp,
  readTrace,
  type RecordedApp,
  type RunningApp,
  type SourceReference,
  TRACE_KINDS,
  type TraceKind,
  TRACES_PATH,
} from "../schedule/index.js";
import { type Batch, batches, createWorld, type Domain, type Preprocessing } from "../vision/index.js";

/** A camera of the embedded world, and the app that looks through it. */
export interface WorldAppPlan {
  readonly name: string;
  readonly kind: TraceKind;
  /** Domains that it sees one after another, each for `driftMs`; the last one stays. */
  readonly drifts: readonly string[];
  readonly driftMs: number;
  readonly fps: number;
  readonly weight?: number | undefined;
  readonly deadlineMs?: number | undefined;
}

export interface WorldAppsOptions extends LongCall, SessionOptions {
  /** Pictures of one frame: what a camera gives at a time, or several cameras on one model. Default 8. */
  readonly pictures?: number | undefined;
  /** Different pictures of each domain. Default 256. */
  readonly images?: number | undefined;
  /** Of what trains. Default `background`: it gives way to all other programs, too. */
  readonly priority?: MachineOptions["priority"];
  /** Sparsity from one level to the next, below the largest that was recorded. Default 0.1. */
  readonly sparsityStep?: number | undefined;
}

/** Pictures of the source that tell what signals are compared with, and as many again that scores are measured on. */
const SOURCE_IMAGES = 160;
const BATCH_SIZE = 32;
/** Pictures that an app learns from, the newest; and of these the ones that it is looked at by. */
const [KEPT, SEEN] = [96, 32];
/** Pictures of new surroundings until they are acted upon. */
const PROBED = 48;
/** Pictures of the source that models are first made for, and that costs are measured with. */
const PROFILED = 64;
/** Labelled pictures of each domain, for apps that learn from labels. */
const LABELLED = 96;

/** Apps of the embedded world, ready to run together. Predictions share one machine; training has another. */
export class WorldApps implements AsyncDisposable {
  private readonly serving = createMachine();
  private readonly training: Machine;
  private readonly kinds = new Map<TraceKind, Promise<Kind>>();
  private readonly frames = new Map<string, Promise<readonly Batch[]>>();

  constructor(private readonly options: WorldAppsOptions) {
    this.training = createMachine({ priority: options.priority ?? "background" });
  }

  /** Opens apps at the source; another seed shows other pictures. Dispose each. Throws: what models, machines and methods throw. */
  async open(plans: readonly WorldAppPlan[], seed: number): Promise<LiveApp[]> {
    const { pictures = 8 } = this.options;
    const opened: LiveApp[] = [];
    for (const plan of plans) {
      const kind = await this.kindOf(plan.kind);
      const { name, fps, weight, deadlineMs, drifts, driftMs } = plan;
      const { head } = kind.app;
      const [seen, labelled] = [new Map<string, readonly Batch[]>(), new Map<string, readonly Lesson[]>()];
      for (const drift of drifts) {
        seen.set(drift, await this.framesOf(drift, kind.app, seed));
        labelled.set(drift, await this.readLessons(drift, kind.app, seed));
      }
      let surroundings = drifts[0]!;
      const levels = kind.levels.map((level) => ({ ...level, inferMs: level.inferMs * pictures }));
      const create = () =>
        this.host(kind.app, {
          ...{ name, levels, reference: kind.reference, pictures: kind.source, seed },
          ...teach(kind.app, () => labelled.get(surroundings)!),
        });
      opened.push({
        ...{
          app: await create(),
          kind: plan.kind,
          surroundings: "day",
          fps,
          weight,
          deadlineMs,
          probe: PROBED,
          openTwin: create,
        },
        createMeter: () => head.createMeter(),
        frames: (index): Frame => {
          const place = Math.min(drifts.length - 1, Math.floor((1000 * index) / fps / driftMs));
          surroundings = drifts[place]!;
          const own = seen.get(surroundings)!;
          const { images, labels, truths } = own[index % own.length]!;
          return { images, truth: { labels, truths }, surroundings };
        },
      });
    }
    return opened;
  }

  private host(app: RecordedApp, options: AppOptions): Promise<RunningApp> {
    const { threads = 1 } = this.options;
    const { serving, training } = this;
    const hosting = { ...options, serving, training, threads, batchSize: BATCH_SIZE, capacity: KEPT, seen: SEEN };
    const { task, head, createLearner } = app;
    return openApp(
      new HostedApp({ ...hosting, task, head, createLearner: (machine) => createLearner(machine) }),
      hosting,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.serving[Symbol.asyncDispose]();
    await this.training[Symbol.asyncDispose]();
  }

  private ladderBelow(largest: number): number[] {
    const { sparsityStep = 0.1 } = this.options;
    const rungs = Math.round(largest / sparsityStep);
    return Array.from({ length: rungs + 1 }, (_, i) => Number(((largest * (rungs - i)) / rungs).toFixed(4)));
  }

  private kindOf(name: TraceKind): Promise<Kind> {
    const known = this.kinds.get(name) ?? this.openKind(name);
    this.kinds.set(name, known);
    return known;
  }

  private async openKind(name: TraceKind): Promise<Kind> {
    const { threads = 1, signal, onProgress } = this.options;
    onProgress?.({ stage: "apps", done: TRACE_KINDS.indexOf(name), total: TRACE_KINDS.length, note: name });
    const { levels: recorded } = await readTrace(join(TRACES_PATH, `${name}.json`));
    const largest = recorded[0]!.sparsity;
    const app = await openWorldKind(name, {
      sparsities: largest === undefined ? undefined : this.ladderBelow(largest),
      threads,
    });
    const { preprocessing } = app;
    const day = createWorld().dataset("validation", 2 * SOURCE_IMAGES, ["day"]).domains[0]!;
    const [first] = await readAll(day, { preprocessing, batchSize: PROFILED, images: PROFILED });
    const lessons = await this.readLessons("day", app, 0);
    const levels = await this.profile(app, recorded, first!.images, lessons);
    const { reference } = await measureSource(app, {
      ...{ machine: this.training, threads, signal, source: day, pool: SOURCE_IMAGES, held: SOURCE_IMAGES },
      ...{ batchSize: BATCH_SIZE, command: "", machineName: "", recorded: { levels } },
    });
    return { app, source: first!.images, levels, reference };
  }

  /** What the ladder costs on this machine: some levels measured once and stored, those between from them; memory as recorded. */
  private async profile(
    app: RecordedApp,
    recorded: readonly Level[],
    pictures: RunTensor,
    lessons: readonly Lesson[],
  ): Promise<readonly Level[]> {
    const { threads = 1, signal, onProgress } = this.options;
    const setting = { threads, batchSize: BATCH_SIZE };
    await using learner = app.createLearner(this.training);
    const { sizes } = learner;
    const rungs = (measured: readonly Level[]): Level[] => {
      const all = interpolateLevels(measured);
      return sizes.map((size) => ({ ...all.find((level) => level.size === size.size)!, ...size }));
    };
    const create = () =>
      this.host(app, { name: app.kind, levels: rungs(recorded), pictures, ...teach(app, () => lessons) });
    const last = sizes.length - 1;
    const places = [...new Set([0, Math.round(last / 2), last])];
    const digest = createHash("sha256")
      .update(JSON.stringify([recorded, sizes]))
      .digest("hex")
      .slice(0, 12);
    const profile = await profileApp(create, {
      ...{ app: `${app.kind} ${digest}`, pictures, settings: [setting], levels: places },
      ...{ signal, onProgress },
    });
    return rungs(levelsOfProfile(profile, setting));
  }

  private framesOf(drift: string, { kind, preprocessing }: RecordedApp, seed: number): Promise<readonly Batch[]> {
    const { pictures = 8, images = 256 } = this.options;
    const key = `${kind} ${drift} ${seed}`; // kinds may differ in preprocessing
    const domain = createWorld({ seed }).dataset("test", images, [drift]).domains[0]!;
    const known = this.frames.get(key) ?? readAll(domain, { preprocessing, batchSize: pictures, images });
    this.frames.set(key, known);
    return known;
  }

  /** Labelled pictures, none of them among frames, for apps that learn from labels. */
  private async readLessons(
    drift: string,
    { isTaught, preprocessing, head }: RecordedApp,
    seed: number,
  ): Promise<readonly Lesson[]> {
    if (!isTaught) return [];
    const domain = createWorld({ seed }).dataset("train", LABELLED, [drift]).domains[0]!;
    const found = await readAll(domain, { preprocessing, batchSize: BATCH_SIZE, images: LABELLED });
    return found.map((batch) => ({ images: batch.images, targets: head.encode(batch) }));
  }
}

/** Lessons in turn, for an app that takes labels. */
function teach({ isTaught }: RecordedApp, lessonsOf: () => readonly Lesson[]): Pick<AppOptions, "lessons"> {
  let step = 0;
  const next = (): Promise<Lesson> => {
    const lessons = lessonsOf();
    return Promise.resolve(lessons[step++ % lessons.length]!);
  };
  return isTaught ? { lessons: next } : {};
}

/** What apps of one kind share. */
interface Kind {
  readonly app: RecordedApp;
  /** Pictures of the source. */
  readonly source: RunTensor;
  readonly levels: readonly Level[];
  readonly reference: SourceReference;
}

/** The first pictures of a domain, in whole batches. */
async function readAll(
  domain: Domain,
  { preprocessing, batchSize, images }: { preprocessing: Preprocessing; batchSize: number; images: number },
): Promise<readonly Batch[]> {
  const indices = Array.from({ length: Math.min(images, domain.samples) }, (_, i) => i);
  const found: Batch[] = [];
  for await (const batch of batches(domain, { preprocessing, batchSize, indices, truth: true }))
    if (batch.labels.length === batchSize) found.push(batch);
  return found;
}
