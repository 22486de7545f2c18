import { cpus, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { LimberError, type LongCall, throwIfAborted } from "../base/index.js";
import { Contestant, type Entry } from "./contestant.js";
import { MODE_NAMES, MODES, type Mode } from "./modes.js";
import { batchOf, BENCH_NETWORKS, type BenchNetwork } from "./networks.js";
import { Peer } from "./peer.js";
import type { TuneMode } from "../run/node.js";
import { type PeerName, WORKER } from "./peers.js";
import type { Answer } from "./protocol.js";
import { type EngineRow, type Headline, summarize, type Timing } from "./rows.js";

export interface EngineBenchOptions extends LongCall {
  /** Default: all. */
  readonly networks?: readonly string[] | undefined;
  /** Default: all. */
  readonly modes?: readonly Mode[] | undefined;
  readonly peers: readonly PeerName[];
  /** Rounds that count, 5 or more; in each, every contestant steps in turn. */
  readonly rounds: number;
  readonly threads: number;
  /** A Python with the packages of `peers/requirements.txt`. */
  readonly python?: string | undefined;
  /** How our formulations are chosen; default off. What is measured for it does not count. */
  readonly tune?: TuneMode | undefined;
  /** Rows of an earlier run: they are not measured again. */
  readonly known?: readonly EngineRow[] | undefined;
  readonly onRow?: ((row: EngineRow) => void) | undefined;
}

export interface EngineReport {
  readonly headline: Headline;
  readonly rows: readonly EngineRow[];
  /** False when the caller asked to stop: the rows are those that were finished. */
  readonly complete: boolean;
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: {
    readonly processor: string;
    readonly processors: number;
    readonly memoryGb: number;
    readonly node: string;
    /** The best rate of a product of matrices in ONNX Runtime; null when no row was measured. Units: 10⁹ multiply-accumulates per second. */
    readonly roofGmacPerS: number | null;
  };
}

const WARM_UP_ROUNDS = 2;
/** Threads of a runtime spin for a while after their work; the next contestant waits for the processors. Units: milliseconds. */
const REST_MS = 50;

/**
 * Times steps beside peers: separate processes, rounds in which each steps in turn, medians and ratios per round.
 * What a contestant cannot do is part of its row. Stopped by the signal, the report has the rows that are finished.
 */
export async function benchEngine(options: EngineBenchOptions): Promise<EngineReport> {
  const { networks, modes = MODE_NAMES, signal, onProgress, known = [] } = options;
  const cases = BENCH_NETWORKS.filter(({ name }) => networks?.includes(name) ?? true).flatMap((network) =>
    MODE_NAMES.filter((mode) => modes.includes(mode)).map((mode) => ({ network, mode })),
  );
  const isKnown = ({ network, mode }: (typeof cases)[number]): EngineRow | undefined =>
    known.find((row) => row.network === network.name && row.mode === mode);
  const run = new Run(options);
  const stop = (): void => run.stop();
  signal?.addEventListener("abort", stop);
  const rows: EngineRow[] = [];
  try {
    for (const [done, each] of cases.entries()) {
      throwIfAborted(signal);
      onProgress?.({
        stage: "bench",
        done,
        total: cases.length,
        note: `${each.network.name}, ${MODES[each.mode].title}`,
      });
      const found = isKnown(each);
      const row = found ?? (await run.timeRow(each.network, each.mode));
      rows.push(row);
      if (!found) options.onRow?.(row);
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    run.stop();
  }
  const complete = rows.length === cases.length;
  return { headline: summarize(rows), rows, complete, versions: run.versions, machine: run.describeMachine() };
}

/** The processes of a run, and what it learns about the machine. */
class Run {
  readonly versions: Record<string, string> = {};
  private readonly running = new Set<Peer>();
  private roofGmacPerS: number | undefined;

  constructor(private readonly options: EngineBenchOptions) {}

  stop(): void {
    for (const peer of this.running) peer.stop();
    this.running.clear();
  }

  /** Once, before the first row. */
  private async measureRoof(): Promise<number> {
    const peer = Peer.start("roof", WORKER.command, WORKER.args);
    this.running.add(peer);
    const { gmac_per_s } = await peer.ask({ cmd: "roof", threads: this.options.threads });
    this.stop();
    return gmac_per_s!;
  }

  async timeRow(network: BenchNetwork, mode: Mode): Promise<EngineRow> {
    const { threads, python, signal, rounds, tune = "off" } = this.options;
    const roof = (this.roofGmacPerS ??= await this.measureRoof());
    const entry: Entry = { network, mode, threads, python, tune, onStart: (peer) => this.running.add(peer) };
    try {
      // In a process of its own, which leaves its measurements to the next: tuning takes time and memory.
      if (tune !== "off") (await Contestant.enter("limber", entry)).stop();
      const ours = await Contestant.enter("limber", entry);
      const peers = new Map<PeerName, Contestant>();
      for (const name of ours.runs ? this.options.peers : []) {
        throwIfAborted(signal);
        peers.set(name, await Contestant.enter(name, { ...entry, ours: ours.answer }));
      }
      checkParameters(network, ours, peers);
      for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
        for (const contestant of [ours, ...peers.values()]) {
          await sleep(REST_MS);
          await contestant.turn(round >= 0);
          throwIfAborted(signal);
        }
      }
      const timings: Record<string, Timing> = {};
      for (const [name, contestant] of peers) {
        timings[name] = await contestant.finish(ours);
        if (contestant.answer.version !== undefined) this.versions[name] = contestant.answer.version;
      }
      return rowOf(entry, { answer: ours.answer, limber: await ours.finish(ours), peers: timings, roof });
    } finally {
      this.stop();
    }
  }

  describeMachine(): EngineReport["machine"] {
    const processors = cpus();
    return {
      processor: processors[0]?.model ?? "unknown",
      processors: processors.length,
      memoryGb: Math.round(totalmem() / 2 ** 30),
      node: process.versions.node,
      roofGmacPerS: this.roofGmacPerS ?? null,
    };
  }
}

function rowOf(
  { network, mode, threads, tune }: Entry,
  { answer, limber, peers, roof }: { answer: Answer; limber: Timing; peers: EngineRow["peers"]; roof: number },
): EngineRow {
  const { stepMs, peakMb } = limber;
  const gmacs = (answer.macs ?? 0) / 1e9;
  const theirs = peers.eager?.peakMb ?? null;
  return {
    network: network.name,
    mode,
    batch: batchOf(network, mode),
    imageSize: network.imageSize,
    threads,
    tune,
    parameters: answer.parameters ?? 0,
    gmacs,
    roofShare: stepMs === null ? null : gmacs / (stepMs / 1e3) / roof,
    limber,
    peers,
    ratio: peers.eager?.ratio ?? null,
    memoryRatio: peakMb === null || theirs === null ? null : peakMb / theirs,
  };
}

/** Throws: `internal` when a peer trains another network than we do. */
function checkParameters(network: BenchNetwork, ours: Contestant, peers: ReadonlyMap<PeerName, Contestant>): void {
  for (const [name, { runs, answer }] of peers) {
    if (!runs || answer.parameters === ours.answer.parameters) continue;
    const message = `network "${network.name}": ${ours.answer.parameters} parameters, got ${answer.parameters} of ${name}; the networks differ`;
    throw new LimberError("internal", message, { network: network.name, peer: name });
  }
}
