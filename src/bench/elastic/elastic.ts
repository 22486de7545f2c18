import { createHash } from "node:crypto";
import { isLimberError, type LongCall, throwIfAborted } from "../../base/index.js";
import { writeModel } from "../../graph/index.js";
import type { MachineOptions, SessionOptions } from "../../run/node.js";
import { type Dataset, keepFitted } from "../../vision/index.js";
import { type Entries, listContestants } from "./contestants.js";
import type { Contestant, CourseOptions } from "./course.js";
import { type Networks, prepareNetworks } from "./networks.js";
import {
  type ContestantFigures,
  type ElasticHeadline,
  type ElasticNotes,
  type ElasticRow,
  type Setting,
  summarizeContestants,
  summarizeElastic,
} from "./rows.js";
import { layOutSequence, type Stay } from "./sequence.js";
import { type ElasticWorld, shiftSource } from "./world.js";

export interface ElasticBenchOptions extends Entries, LongCall, SessionOptions, MachineOptions {
  readonly world: ElasticWorld;
  /** Stays of a sequence, each domain met three times. */
  readonly domains: number;
  /** Sequences, each with an order and images of its own. */
  readonly seeds: number;
  readonly sparsity: number;
  /** Images that arrive in a stay, and those that it is measured on. */
  readonly images: number;
  readonly testImages: number;
  readonly batchSize: number;
  /** Steps of the master's training; the small network sees as many images. Default 750. */
  readonly steps?: number | undefined;
  /** Where `master.onnx` and `small.onnx` lie, or go once they are trained. Default: the cache. */
  readonly trained?: string | undefined;
  readonly cacheFolder?: string | undefined;
  /** Measures accuracy after every so many steps of adaptation, besides after the last. */
  readonly curve?: number | undefined;
  /** Rows of earlier calls: sequences that they have whole are not taken again, and what they chose is not chosen again. */
  readonly known?: readonly ElasticRow[] | undefined;
  readonly onRow?: ((row: ElasticRow) => void) | undefined;
}

export interface ElasticReport {
  readonly headline: ElasticHeadline;
  readonly notes: ElasticNotes;
  readonly contestants: readonly ContestantFigures[];
  readonly rows: readonly ElasticRow[];
  /** What was chosen on validation shifts, by contestant. */
  readonly settings: Readonly<Record<string, Setting>>;
  /** False when the caller asked to stop: the rows are those that were finished. */
  readonly complete: boolean;
}

/**
 * ElasticDNN beside the same methods on a pruned network of its size and on the large one, on sequences of domains that come
 * again. Hyper-parameters are chosen on shifts of the source, once; each contestant takes each sequence on its own.
 * Stopped by the signal, the report has the rows that are finished.
 * Throws: `config.invalid`, what training and adapting throw.
 */
export async function benchElastic(options: ElasticBenchOptions): Promise<ElasticReport> {
  const rows: ElasticRow[] = [];
  const settings: Record<string, Setting> = {};
  let complete = false;
  const contestants = listContestants(options);
  try {
    const run = new Run(options, await prepareNetworks(options.world, options));
    for (let seed = 0; seed < options.seeds; seed++) {
      const stays = run.layOut(seed);
      for (const contestant of contestants) {
        const { name, settingOf = "" } = contestant;
        const setting = (settings[name] ??=
          settings[settingOf] ?? run.chosenBefore(contestant) ?? (await run.choose(contestant)));
        const known = run.knownRows(contestant, stays, seed);
        for await (const row of known ?? run.rowsOf(contestant, stays, seed, setting)) {
          rows.push(row);
          if (!known) options.onRow?.(row);
        }
      }
    }
    complete = true;
  } catch (error) {
    if (!options.signal?.aborted || !isLimberError(error, "aborted")) throw error;
  }
  return { ...summarizeElastic(rows), contestants: summarizeContestants(rows), rows, settings, complete };
}

/** How often a domain is met. */
const ROUNDS = 3;

/** A bench at work: what is the same for all contestants. */
class Run {
  /** Stays to choose by: one for each validation shift. */
  private readonly shifts: readonly Stay[];
  private readonly drifts: Dataset;
  private readonly known: readonly ElasticRow[];
  /** Stands for everything that the row of a contestant depends on. */
  private readonly id: string;

  constructor(
    private readonly options: ElasticBenchOptions,
    private readonly networks: Networks,
  ) {
    const { world, images, testImages, known = [] } = options;
    this.drifts = this.keep(world.drifts(ROUNDS * (images + testImages)));
    const shifts = this.keep(shiftSource(world));
    const share = Math.min(1, world.validation.samples / (images + testImages)); // fewer where few were held back
    this.shifts = layOutSequence(shifts, {
      ...{ images: Math.floor(share * images), testImages: Math.floor(share * testImages) },
      ...{ domains: shifts.domains.length, rounds: 1, seed: 0 },
    });
    this.id = this.hash();
    this.known = known.filter(({ run }) => run === this.id);
  }

  private hash(): string {
    const { world, domains, images, testImages, batchSize, sparsity, threads, provider, curve, rates } = this.options;
    const places = this.drifts.domains.map((domain) => [domain.name, domain.samples, domain.pathOf(0)]);
    const hash = createHash("sha256");
    const { large, master, small } = this.networks;
    for (const network of [large, master, small]) hash.update(writeModel(network));
    const settings = { domains, images, testImages, batchSize, sparsity, threads, provider, curve, rates };
    hash.update(JSON.stringify([world.preprocessing, world.training.pathOf(0), places, settings]));
    return hash.digest("hex").slice(0, 12);
  }

  layOut(seed: number): readonly Stay[] {
    const { domains, images, testImages } = this.options;
    return layOutSequence(this.drifts, { domains, images, testImages, rounds: ROUNDS, seed });
  }

  /** The setting that earlier rows of a contestant were made with. */
  chosenBefore(contestant: Contestant): Setting | undefined {
    return this.known.find((row) => isOf(contestant, row))?.setting;
  }

  /** The rows of a sequence that was taken before, where there is one for each stay: the latest. */
  knownRows(contestant: Contestant, stays: readonly Stay[], seed: number): readonly ElasticRow[] | undefined {
    const own = this.known.filter((row) => isOf(contestant, row) && row.seed === seed);
    const rows = visitedBy(contestant, stays).map((_, position) => own.findLast((row) => row.position === position));
    return rows.every((row) => row !== undefined) ? rows : undefined;
  }

  /** The setting with the best mean accuracy on the shifts, of equal ones the first. */
  async choose(contestant: Contestant): Promise<Setting> {
    const { settings } = contestant;
    let best = { setting: settings[0]!, sum: -1 };
    for (const [done, setting] of settings.entries()) {
      if (settings.length === 1) break;
      throwIfAborted(this.options.signal);
      this.options.onProgress?.({ stage: "choose", done, total: settings.length, note: contestant.name });
      let sum = 0;
      const course = { ...this.course(setting, 0), curve: undefined };
      for await (const { afterAccuracy } of contestant.run(this.networks, this.shifts, course)) sum += afterAccuracy;
      if (sum > best.sum) best = { setting, sum };
    }
    return best.setting;
  }

  async *rowsOf(
    contestant: Contestant,
    stays: readonly Stay[],
    seed: number,
    setting: Setting,
  ): AsyncGenerator<ElasticRow, void, undefined> {
    const { name, kind, method } = contestant;
    const visited = visitedBy(contestant, stays);
    let position = 0;
    for await (const result of contestant.run(this.networks, visited, this.course(setting, seed))) {
      const { domain, round } = visited[position]!;
      const place = { seed, position: position++, domain, round };
      yield { run: this.id, contestant: name, kind, method, setting, ...place, ...result };
      const { signal, onProgress } = this.options;
      throwIfAborted(signal);
      onProgress?.({
        stage: "bench",
        done: position,
        total: visited.length,
        note: `seed ${seed + 1}, ${name}, ${domain}`,
      });
    }
  }

  private course(setting: Setting, seed: number): CourseOptions {
    const { world, batchSize, sparsity, threads, provider, signal, curve } = this.options;
    const { preprocessing, training: source } = world;
    return { preprocessing, batchSize, sparsity, seed, source, setting, threads, provider, signal, curve };
  }

  /** Every contestant reads the same images, decoded once. */
  private keep(dataset: Dataset): Dataset {
    const { preprocessing } = this.options.world;
    return { ...dataset, domains: dataset.domains.map((domain) => keepFitted(domain, preprocessing)) };
  }
}

const isOf = ({ name, method }: Contestant, row: ElasticRow): boolean =>
  row.contestant === name && row.method === method;

const visitedBy = ({ isShort }: Contestant, stays: readonly Stay[]): readonly Stay[] =>
  isShort ? stays.filter(({ round }) => round === 0) : stays;
