import { createHash } from "node:crypto";
import { evaluateTask } from "../../adapt/index.js";
import { isLimberError, type LongCall, throwIfAborted } from "../../base/index.js";
import { writeModel } from "../../graph/index.js";
import { createMember, type Drift, Ledger, type Member, PatchLibrary } from "../../patch/index.js";
import { createMachine, type Machine, type MachineOptions, openPageMachine, Predictor } from "../../run/node.js";
import { onMachines } from "../on-machines.js";
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
  /** Contestants that run at a time, each on a machine of its own. Default 1. */
  readonly jobs?: number | undefined;
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
  const { scenes, contestants, seeds, jobs = 1, signal, known = [], platform = "node", threads } = options;
  const places = scenes.flatMap((scene) =>
    Array.from({ length: seeds }, (_, seed) =>
      contestants.map((contestant): Place => ({ scene, seed, contestant })),
    ).flat(),
  );
  const found = new Map<Place, readonly PatchRow[]>();
  const report = (complete: boolean): PatchReport => {
    const rows = places.flatMap((place) => found.get(place) ?? []);
    return { headline: headlineOf(rows), rows, complete };
  };
  let done = 0;
  const total = scenes.reduce((sum, { drifts }) => sum + drifts.length, 0) * contestants.length * seeds;
  const tell = ({ scene, contestant }: Place, drift: string): void => {
    throwIfAborted(signal);
    const note = `${scene.dataset}, ${scene.backbone}, ${contestant.name}, ${drift}`;
    options.onProgress?.({ stage: "bench", done, total, note });
  };
  const open = (): Promise<Machine> | Machine =>
    platform === "wasm" ? openPageMachine({ threads }) : createMachine(options);
  const measured = new Map(scenes.map((scene) => [scene, new Measuring(scene, options)]));
  try {
    await onMachines(places, { jobs, open }, async (place, machine) => {
      const { scene, seed, contestant } = place;
      const run = fingerprint(scene, options);
      const finished = known.filter(
        (row) => row.run === run && row.seed === seed && row.contestant === contestant.name,
      );
      if (finished.length === scene.drifts.length * scene.models.length) {
        found.set(place, finished);
        done += scene.drifts.length;
        return;
      }
      const measuring = measured.get(scene)!;
      let members = await measuring.open(machine);
      const own: PatchRow[] = [];
      const library = new PatchLibrary();
      for (const [position, drift] of scene.drifts.entries()) {
        tell(place, drift.name);
        const [next, rows] = await measuring.follow(place, members, { machine, run, position, library });
        members = next;
        own.push(...rows);
        done++;
      }
      found.set(place, own);
      for (const row of own) options.onRow?.(row);
    });
  } catch (error) {
    if (!isLimberError(error, "aborted")) throw error;
    return report(false);
  }
  return report(true);
}

/** A contestant on all drifts of a scene. */
interface Place {
  readonly scene: Scene;
  readonly seed: number;
  readonly contestant: PatchContestant;
}

/** One of its drifts. */
interface Moment {
  readonly machine: Machine;
  readonly run: string;
  readonly position: number;
  readonly library: PatchLibrary;
}

/** What is measured of a scene; the source models only once. */
class Measuring {
  private readonly sourceScores = new Map<string, Promise<number>>();
  private opened: Promise<readonly Member[]> | undefined;

  constructor(
    private readonly scene: Scene,
    private readonly options: PatchBenchOptions,
  ) {}

  /** The models as they came. */
  open(machine: Machine): Promise<readonly Member[]> {
    return (this.opened ??= this.openMembers(machine));
  }

  private async openMembers(machine: Machine): Promise<readonly Member[]> {
    const members: Member[] = [];
    for (const { name, model, preprocessing } of this.scene.models) {
      const member = createMember(model, { name, preprocessing, before: 0 });
      members.push({ ...member, before: await this.score(machine, member, this.scene.source) });
    }
    return members;
  }

  /** One contestant through one drift. */
  async follow(
    { contestant, seed }: Place,
    members: readonly Member[],
    { machine, run, position, library }: Moment,
  ): Promise<readonly [readonly Member[], PatchRow[]]> {
    const { scene } = this;
    const { pool, held, batchSize, epochs, threads, signal, patches, platform = "node" } = this.options;
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
        sourceScore: await this.sourceScore(machine, member, position),
        score: await this.score(machine, member, named.test),
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

  private sourceScore(machine: Machine, member: Member, position: number): Promise<number> {
    const { name, test } = this.scene.drifts[position]!;
    const key = `${member.name} ${name}`;
    const known = this.sourceScores.get(key) ?? this.score(machine, { ...member, serving: member.source }, test);
    this.sourceScores.set(key, known);
    return known;
  }

  private async score(machine: Machine, { serving, head, preprocessing }: Member, domain: Domain): Promise<number> {
    const { threads, signal, testImages } = this.options;
    const indices = Array.from({ length: Math.min(testImages, domain.samples) }, (_, i) => i);
    const predictor = await Predictor.create(machine, serving, { threads });
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
