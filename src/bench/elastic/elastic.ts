import { isLimberError, type LongCall, throwIfAborted } from "../../base/index.js";
import type { Model } from "../../graph/index.js";
import type { MachineOptions, SessionOptions } from "../../run/node.js";
import { keepFitted } from "../../vision/index.js";
import { type Contestant, type CourseOptions, type Entries, listContestants, type Setting } from "./contestants.js";
import { type Networks, prepareNetworks } from "./networks.js";
import {
  type ContestantFigures,
  type ElasticHeadline,
  type ElasticNotes,
  type ElasticRow,
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
  /** Steps of the master's training; the small network sees as many images. */
  readonly steps: number;
  readonly master?: Model | undefined;
  readonly cacheFolder?: string | undefined;
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
    for (const contestant of contestants)
      settings[contestant.name] = settings[contestant.settingOf ?? ""] ?? (await run.choose(contestant));
    for (let seed = 0; seed < options.seeds; seed++) {
      const stays = run.layOut(seed);
      for (const contestant of contestants)
        for await (const row of run.rowsOf(contestant, stays, seed, settings[contestant.name]!)) {
          rows.push(row);
          options.onRow?.(row);
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

  constructor(
    private readonly options: ElasticBenchOptions,
    private readonly networks: Networks,
  ) {
    const { images, testImages } = options;
    const dataset = shiftSource(options.world);
    this.shifts = this.keep(
      layOutSequence(dataset, { images, testImages, domains: dataset.domains.length, rounds: 1, seed: 0 }),
    );
  }

  layOut(seed: number): readonly Stay[] {
    const { world, domains, images, testImages } = this.options;
    const dataset = world.drifts(ROUNDS * (images + testImages));
    return this.keep(layOutSequence(dataset, { domains, images, testImages, rounds: ROUNDS, seed }));
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
      for await (const { afterAccuracy } of contestant.run(this.networks, this.shifts, this.course(setting, 0)))
        sum += afterAccuracy;
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
    const { name, kind, method, isShort } = contestant;
    const visited = isShort ? stays.filter(({ round }) => round === 0) : stays;
    let position = 0;
    for await (const result of contestant.run(this.networks, visited, this.course(setting, seed))) {
      const { domain, round } = visited[position]!;
      yield { contestant: name, kind, method, seed, position: position++, domain, round, ...result };
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
    const { world, batchSize, sparsity, threads, provider, signal } = this.options;
    const { preprocessing, training: source } = world;
    return { preprocessing, batchSize, sparsity, seed, source, setting, threads, provider, signal };
  }

  /** Every contestant reads the same images. */
  private keep(stays: readonly Stay[]): readonly Stay[] {
    const { preprocessing } = this.options.world;
    return stays.map((stay) => ({
      ...stay,
      arriving: keepFitted(stay.arriving, preprocessing),
      test: keepFitted(stay.test, preprocessing),
    }));
  }
}
