import { createHash } from "node:crypto";
import { LimberError, type LongCall } from "../../base/index.js";
import {
  createMachine,
  type Machine,
  type MachineOptions,
  type RunTensor,
  type SessionOptions,
} from "../../run/node.js";
import { type Batch, batches, type Domain } from "../../vision/index.js";
import type { Level } from "../app.js";
import { openApp } from "../apps/elastic-app.js";
import { type AppOptions, HostedApp } from "../apps/hosted-app.js";
import type { Lesson } from "../apps/learner.js";
import type { SourceReference } from "../estimate/index.js";
import type { Frame, LiveApp } from "../live/index.js";
import { interpolateLevels, levelsOfProfile, profileApp } from "../profile/index.js";
import { measureSource, type RecordedApp } from "../record/record-trace.js";
import type { RunningApp } from "../running-app.js";
import type { Trace } from "../trace.js";
import type { AppKind, KindSet } from "./app-kind.js";

/** A camera, and the app that looks through it. */
export interface KindAppPlan {
  readonly name: string;
  /** One of the kinds. */
  readonly kind: string;
  /** Domains that it sees one after another, each for `driftMs`; the last one stays. */
  readonly drifts: readonly string[];
  readonly driftMs: number;
  readonly fps: number;
  readonly weight?: number | undefined;
  readonly deadlineMs?: number | undefined;
}

export interface KindAppsOptions extends LongCall, SessionOptions {
  readonly kinds: KindSet["kinds"];
  /** One of each kind: what it costs before that is measured, and what estimates know. */
  readonly traces: readonly Trace[];
  /** Pictures of one frame. Default: as the camera of the kind has it. */
  readonly pictures?: number | undefined;
  /** Of what trains. Default `background`: it gives way to all other programs, too. */
  readonly priority?: MachineOptions["priority"];
  /** Where profiles are kept. Default: the user's cache folder. */
  readonly cacheFolder?: string | undefined;
  /** Sparsity from one level to the next, below the largest that was recorded. Default 0.1. */
  readonly sparsityStep?: number | undefined;
}

/** In batches of the kind: pictures that an app learns from, the newest; and of these the ones that it is looked at by. */
const [KEPT, SEEN] = [3, 1];
/** Pictures of new surroundings until they are acted upon. */
const PROBED = 1.5;
/** Pictures of the source that models are first made for, and that costs are measured with. */
const PROFILED = 2;
/** Pictures of the source that tell what signals are compared with, and as many again that scores are measured on. */
const REFERENCE = 5;
/** Labelled pictures of each drift, for apps that learn from labels. */
const LABELLED = 3;

/** Apps of some kinds, ready to run together. Predictions share one machine; training has another. */
export class KindApps implements AsyncDisposable {
  private readonly serving = createMachine();
  private readonly training: Machine;
  private readonly opened = new Map<string, Promise<OpenedKind>>();
  private readonly frames = new Map<string, Promise<readonly Batch[]>>();

  constructor(private readonly options: KindAppsOptions) {
    this.training = createMachine({ priority: options.priority ?? "background" });
  }

  /** Opens apps at the source; another seed shows other pictures. Dispose each. Throws: what models, machines and methods throw. */
  async open(plans: readonly KindAppPlan[], seed: number): Promise<LiveApp[]> {
    const opened: LiveApp[] = [];
    for (const { name, kind: named, fps, weight, deadlineMs, drifts, driftMs } of plans) {
      const found = await this.kindOf(named);
      const { kind, app } = found;
      const { pictures = kind.camera.pictures } = this.options;
      const [seen, labelled] = [new Map<string, readonly Batch[]>(), new Map<string, readonly Lesson[]>()];
      for (const drift of drifts) {
        seen.set(drift, await this.framesOf(drift, found, seed));
        labelled.set(drift, await this.readLessons(drift, found, seed));
      }
      let surroundings = drifts[0]!;
      const levels = found.levels.map((level) => ({ ...level, inferMs: level.inferMs * pictures }));
      const create = () =>
        this.host(found, {
          ...{ name, levels, reference: found.reference, pictures: found.source, seed },
          ...teach(app, () => labelled.get(surroundings)!),
        });
      const own = await create();
      await own.signals(); // what looking takes is compiled before anyone waits for it
      opened.push({
        ...{ app: own, kind: named, surroundings: kind.source, fps, weight, deadlineMs },
        ...{ probe: Math.ceil(PROBED * kind.batchSize), openTwin: create },
        createMeter: () => app.head.createMeter(),
        frames: (index): Frame => {
          const place = Math.min(drifts.length - 1, Math.floor((1000 * index) / fps / driftMs));
          surroundings = drifts[place]!;
          const shown = seen.get(surroundings)!;
          const { images, labels, truths } = shown[index % shown.length]!;
          return { images, truth: { labels, truths }, surroundings };
        },
      });
    }
    return opened;
  }

  private host({ kind: { batchSize }, app }: KindAtHand, options: AppOptions): Promise<RunningApp> {
    const { threads = 1 } = this.options;
    const { serving, training } = this;
    const sizes = { batchSize, capacity: KEPT * batchSize, seen: SEEN * batchSize };
    const hosting = { ...options, ...sizes, serving, training, threads };
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
    return Array.from({ length: rungs + 1 }, (_, i) =>
      Number((largest - (i * largest) / Math.max(1, rungs)).toFixed(4)),
    );
  }

  private kindOf(name: string): Promise<OpenedKind> {
    const known = this.opened.get(name) ?? this.openKind(name);
    this.opened.set(name, known);
    return known;
  }

  private async openKind(name: string): Promise<OpenedKind> {
    const { kinds, traces, threads = 1, signal, onProgress } = this.options;
    const kind = find(kinds, ({ name: each }) => each === name, `a kind "${name}"`, "describe it");
    const trace = find(
      traces,
      (each) => each.kind === name,
      `a trace of kind "${name}"`,
      "record one with --record-to",
    );
    onProgress?.({ stage: "apps", done: kinds.indexOf(kind), total: kinds.length, note: name });
    const largest = trace.levels[0]!.sparsity;
    const sparsities = largest === undefined ? undefined : this.ladderBelow(largest);
    const atHand = { kind, app: await kind.open({ sparsities, threads }) };
    const { batchSize } = kind;
    const reference = REFERENCE * batchSize;
    const domain = kind.sourcePictures(2 * reference);
    const { images: source } = (await readAll(domain, atHand, PROFILED * batchSize))[0]!;
    const lessons = await this.readLessons(kind.source, atHand, 0);
    const levels = await this.profile(atHand, trace.levels, source, lessons);
    const measured = await measureSource(atHand.app, {
      ...{ machine: this.training, threads, signal, source: domain, pool: reference, held: reference },
      ...{ batchSize, command: "", machineName: "", recorded: { levels } },
    });
    return { ...atHand, source, levels, reference: measured.reference };
  }

  /** What the ladder costs on this machine: some levels measured once and stored, those between from them; memory as recorded. */
  private async profile(
    { kind, app }: KindAtHand,
    recorded: readonly Level[],
    pictures: RunTensor,
    lessons: readonly Lesson[],
  ): Promise<readonly Level[]> {
    const { threads = 1, signal, onProgress } = this.options;
    const setting = { threads, batchSize: kind.batchSize };
    await using learner = app.createLearner(this.training);
    const { sizes } = learner;
    const rungs = (measured: readonly Level[]): Level[] => {
      const all = interpolateLevels(measured);
      return sizes.map((size) => ({ ...all.find((level) => level.size === size.size)!, ...size }));
    };
    const create = () =>
      this.host({ kind, app }, { name: kind.name, levels: rungs(recorded), pictures, ...teach(app, () => lessons) });
    const last = sizes.length - 1;
    const places = [...new Set([0, Math.round(last / 2), last])];
    const digest = createHash("sha256")
      .update(JSON.stringify([recorded, sizes]))
      .digest("hex")
      .slice(0, 12);
    const profile = await profileApp(create, {
      ...{ app: `${kind.name} ${digest}`, pictures, settings: [setting], levels: places },
      ...{ folder: this.options.cacheFolder, signal, onProgress },
    });
    return rungs(levelsOfProfile(profile, setting));
  }

  private framesOf(drift: string, atHand: KindAtHand, seed: number): Promise<readonly Batch[]> {
    const { kind } = atHand;
    const { camera } = kind;
    const { pictures = camera.pictures } = this.options;
    const key = `${kind.name} ${drift} ${seed}`; // kinds may differ in preprocessing
    const domain = kind.pictures(drift, { use: "frames", seed, count: camera.images });
    const known = this.frames.get(key) ?? readAll(domain, atHand, pictures);
    this.frames.set(key, known);
    return known;
  }

  /** Labelled pictures, none of them among frames, for apps that learn from labels. */
  private async readLessons(drift: string, atHand: KindAtHand, seed: number): Promise<readonly Lesson[]> {
    const { kind, app } = atHand;
    if (!app.isTaught) return [];
    const domain = kind.pictures(drift, { use: "lessons", seed, count: LABELLED * kind.batchSize });
    const found = await readAll(domain, atHand, kind.batchSize);
    return found.map((batch) => ({ images: batch.images, targets: app.head.encode(batch) }));
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

interface KindAtHand {
  readonly kind: AppKind;
  readonly app: RecordedApp;
}

/** What apps of one kind share. */
interface OpenedKind extends KindAtHand {
  /** Pictures of the source. */
  readonly source: RunTensor;
  readonly levels: readonly Level[];
  readonly reference: SourceReference;
}

/** All whole batches of a domain. Throws: `data.invalid` where there is none. */
async function readAll(domain: Domain, { kind, app }: KindAtHand, batchSize: number): Promise<readonly Batch[]> {
  const { preprocessing } = app;
  const found: Batch[] = [];
  for await (const batch of batches(domain, { preprocessing, batchSize, truth: true }))
    if (batch.labels.length === batchSize) found.push(batch);
  if (found.length > 0) return found;
  const message = `apps: ${batchSize} pictures of "${domain.name}" for "${kind.name}", got fewer that can be read; give more`;
  throw new LimberError("data.invalid", message, { kind: kind.name, domain: domain.name });
}

function find<T>(items: readonly T[], isIt: (item: T) => boolean, expected: string, next: string): T {
  const found = items.find(isIt);
  if (found !== undefined) return found;
  throw new LimberError("config.invalid", `apps: ${expected}, got none; ${next}`);
}
