import { createHash } from "node:crypto";
import { evaluateTask } from "../../adapt/index.js";
import { isLimberError, type LongCall, throwIfAborted } from "../../base/index.js";
import { writeModel } from "../../graph/index.js";
import { createMember, type Drift, Ledger, type Member, PatchLibrary } from "../../patch/index.js";
import { createMachine, type Machine, type MachineOptions, openPageMachine, Predictor } from "../../run/node.js";
import { type Arena, type PatchContestant } from "./contestants.js";
import { askCounter } from "./count.js";
import { headlineOf, type PatchHeadline } from "./headline.js";
import type { PatchRow, Platform } from "./rows.js";
import { drawDrift, type Scene } from "./scene.js";

export interface PatchBenchOptions extends LongCall, MachineOptions {
  readonly scenes: readonly Scene[];
  readonly contestants: readonly PatchContestant[];
  readonly seeds: number;
  /** Labelled samples of each drift that may train, and that tell when to stop. */
  readonly pool: number;
  readonly held: number;
  readonly testImages: number;
  readonly epochs: number;
  readonly batchSize: number;
  /** How many patches a drift takes at first, where a scene has no network that counts. */
  readonly patches: number;
  /** Where steps run. Default: in Node.js. */
  readonly platform?: Platform | undefined;
  readonly threads?: number | undefined;
  /** Rows of an earlier run; what they tell is not measured again. */
  readonly known?: readonly PatchRow[] | undefined;
  readonly onRow?: ((row: PatchRow) => void) | undefined;
}

export interface PatchReport {
  readonly headline: PatchHeadline;
  readonly rows: readonly PatchRow[];
  readonly complete: boolean;
}

const STOP = { leastGain: 0.005, patience: 6 };

/**
 * Every contestant follows the same drifts with the same models, samples, epochs and stop rule, and goes on from what it left. Work is booked
 * by what it was spent on. When stopped, the report tells of what is done.
 * Throws: what `patchLine` throws, but `aborted`; `provider.refused` without a browser where one is asked for.
 */
export async function benchPatch(options: PatchBenchOptions): Promise<PatchReport> {
  const { scenes, contestants, seeds, signal, known = [], platform = "node", threads } = options;
  const rows: PatchRow[] = [];
  let done = 0;
  const total = scenes.reduce((sum, { drifts }) => sum + drifts.length, 0) * contestants.length * seeds;
  const report = (complete: boolean): PatchReport => ({ headline: headlineOf(rows), rows, complete });
  await using machine = platform === "wasm" ? await openPageMachine({ threads }) : createMachine(options);
  try {
    for (const scene of scenes) {
      const run = fingerprint(scene, options);
      const measuring = new Measuring(machine, options);
      const members = await measuring.open(scene);
      for (let seed = 0; seed < seeds; seed++) {
        for (const contestant of contestants) {
          const finished = known.filter(
            (row) => row.run === run && row.seed === seed && row.contestant === contestant.name,
          );
          if (finished.length === scene.drifts.length * members.length) {
            rows.push(...finished);
            done += scene.drifts.length;
            continue;
          }
          let current: readonly Member[] = members;
          const own: PatchRow[] = [];
          const library = new PatchLibrary();
          for (const [position, drift] of scene.drifts.entries()) {
            throwIfAborted(signal);
            const note = `${scene.dataset}, ${scene.backbone}, ${contestant.name}, ${drift.name}`;
            options.onProgress?.({ stage: "bench", done, total, note });
            const place = { scene, run, seed, position, library };
            const [next, found] = await measuring.follow(contestant, current, place);
            current = next;
            own.push(...found);
            done++;
          }
          rows.push(...own);
          for (const row of own) options.onRow?.(row);
        }
      }
    }
  } catch (error) {
    if (!isLimberError(error, "aborted")) throw error;
    return report(false);
  }
  return report(true);
}

interface Place {
  readonly scene: Scene;
  readonly run: string;
  readonly seed: number;
  readonly position: number;
  readonly library: PatchLibrary;
}

/** What is measured of a scene; the source models only once. */
class Measuring {
  private readonly sourceScores = new Map<string, Promise<number>>();

  constructor(
    private readonly machine: Machine,
    private readonly options: PatchBenchOptions,
  ) {}

  async open({ models, source }: Scene): Promise<Member[]> {
    const members: Member[] = [];
    for (const { name, model, preprocessing } of models) {
      const member = createMember(model, { name, preprocessing, before: 0 });
      members.push({ ...member, before: await this.score(member, source, this.options.testImages) });
    }
    return members;
  }

  /** One contestant through one drift. */
  async follow(
    contestant: PatchContestant,
    members: readonly Member[],
    { scene, run, seed, position, library }: Place,
  ): Promise<readonly [readonly Member[], PatchRow[]]> {
    const { pool, held, batchSize, epochs, threads, signal, patches, platform = "node" } = this.options;
    const { machine } = this;
    const named = scene.drifts[position]!;
    const drift: Drift = drawDrift(named, { seed, position, pool, held });
    const ledger = new Ledger();
    const { counter } = scene;
    const arena: Arena = {
      ...{ machine, threads, seed, batchSize, signal, ledger, library, stop: STOP },
      budget: { base: epochs },
      count: async (drift) => (counter ? askCounter(counter, drift, { machine, threads, signal, ledger }) : patches),
    };
    const next = new Map<string, Member>();
    const rows: PatchRow[] = [];
    for await (const { member, ...outcome } of contestant.adapt(members, drift, arena)) {
      next.set(member.name, member);
      const { task, metric } = scene.models.find(({ name }) => name === member.name)!;
      rows.push({
        ...{ run, dataset: scene.dataset, backbone: scene.backbone, platform, task, metric },
        ...{ contestant: contestant.name, kind: contestant.kind, seed, position, drift: named.name },
        testImages: Math.min(named.test.samples, this.options.testImages),
        sourceScore: await this.sourceScore(member, scene, position),
        score: await this.score(member, named.test, this.options.testImages),
        macs: {} as PatchRow["macs"],
        seconds: 0,
        ...outcome,
      });
    }
    // what the models share, such as finding out how alike they are, is borne by all alike
    const shared = ledger.entries.filter(({ model }) => !next.has(model));
    const booked = rows.map((row): PatchRow => {
      const own = ledger.entries.filter(({ model }) => model === row.task);
      const sum = new Ledger([
        ...own,
        ...shared.map(({ macs, seconds, ...rest }) => ({
          ...{ ...rest, macs: macs / rows.length, seconds: seconds / rows.length },
        })),
      ]);
      const macs = Object.entries(sum.byTechnique()).map(([technique, cost]) => [technique, Math.round(cost.macs)]);
      return { ...row, macs: Object.fromEntries(macs) as PatchRow["macs"], seconds: sum.total().seconds };
    });
    return [members.map((member) => next.get(member.name) ?? member), booked];
  }

  private sourceScore(member: Member, scene: Scene, position: number): Promise<number> {
    const { name, test } = scene.drifts[position]!;
    const key = `${member.name} ${name}`;
    const known =
      this.sourceScores.get(key) ?? this.score({ ...member, serving: member.source }, test, this.options.testImages);
    this.sourceScores.set(key, known);
    return known;
  }

  private async score({ serving, head, preprocessing }: Member, domain: Domain, images: number): Promise<number> {
    const { threads, signal } = this.options;
    const indices = Array.from({ length: Math.min(images, domain.samples) }, (_, i) => i);
    const predictor = await Predictor.create(this.machine, serving, { threads });
    const { value } = await evaluateTask(predictor, head, domain, { indices, preprocessing, batchSize: 64, signal });
    await predictor.dispose();
    return value;
  }
}

type Domain = Scene["source"];

/** Same models, data and options, same rows. */
function fingerprint({ dataset, backbone, models, drifts, counter }: Scene, options: PatchBenchOptions): string {
  const { pool, held, testImages, epochs, batchSize, patches, platform } = options;
  const hash = createHash("sha256");
  for (const model of [...models.map(({ model }) => model), ...(counter ? [counter] : [])])
    hash.update(writeModel(model));
  const places = drifts.map(({ name, lessons, test }) => [name, lessons.samples, test.samples, test.pathOf(0)]);
  const told = { pool, held, testImages, epochs, batchSize, patches, platform };
  hash.update(JSON.stringify([dataset, backbone, places, told, STOP]));
  return hash.digest("hex").slice(0, 16);
}
