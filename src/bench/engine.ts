import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { LimberError, type LongCall, throwIfAborted } from "../base/index.js";
import { BENCH_NETWORKS, type BenchNetwork } from "./networks.js";
import { Peer } from "./peer.js";

export interface EngineBenchOptions extends LongCall {
  readonly networks?: readonly string[] | undefined;
  /** Rounds that count, 5 or more; each round runs every contestant in turn. */
  readonly rounds: number;
  readonly threads: number;
  /** A Python with the packages of `peers/requirements.txt`; without one, only our side is timed. */
  readonly python?: string | undefined;
}

export interface EngineRow {
  readonly network: string;
  readonly batch: number;
  readonly imageSize: number;
  readonly parameters: number;
  /** Median over the rounds. Units: milliseconds. */
  readonly stepMs: number;
  readonly createMs: number;
  readonly peakMb: number;
  readonly torchEagerMs: number | null;
  readonly torchChannelsLastMs: number | null;
  readonly torchCreateMs: number | null;
  readonly torchPeakMb: number | null;
  /** Median over the rounds of peer time / our time: above 1 we are faster. */
  readonly ratioEager: number | null;
  readonly ratioChannelsLast: number | null;
  readonly memoryRatio: number | null;
}

export interface EngineReport {
  readonly headline: {
    readonly worst: { readonly network: string; readonly ratioEager: number } | null;
    readonly geomeanEager: number | null;
    readonly torch: string | null;
  };
  readonly rows: readonly EngineRow[];
  readonly machine: {
    readonly processor: string;
    readonly processors: number;
    readonly memoryGb: number;
    readonly node: string;
  };
}

interface Contestant {
  readonly name: "limber" | "eager" | "channels-last";
  readonly peer: Peer;
  readonly createMs: number;
  readonly parameters: number;
  readonly torch: string | undefined;
  readonly times: number[];
}

const WORKER = fileURLToPath(new URL("./engine-worker.js", import.meta.url));
const PEER = fileURLToPath(new URL("../../peers/bench_engine.py", import.meta.url));

/** Times whole training steps beside PyTorch: separate processes, interleaved rounds, medians and ratios per round. */
export async function benchEngine(options: EngineBenchOptions): Promise<EngineReport> {
  const chosen = BENCH_NETWORKS.filter(({ name }) => options.networks?.includes(name) ?? true);
  const rows: EngineRow[] = [];
  let torch: string | undefined;
  for (const [done, network] of chosen.entries()) {
    options.onProgress?.({ stage: "bench", done, total: chosen.length, note: network.name });
    const result = await timeNetwork(network, options);
    rows.push(result.row);
    torch ??= result.torch;
  }
  const ratios = rows.flatMap((row) =>
    row.ratioEager === null ? [] : [{ network: row.network, ratioEager: row.ratioEager }],
  );
  const worst = ratios.reduce<(typeof ratios)[number] | null>(
    (a, b) => (a && a.ratioEager <= b.ratioEager ? a : b),
    null,
  );
  const logs = ratios.map(({ ratioEager }) => Math.log(ratioEager));
  const geomeanEager = logs.length === 0 ? null : Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length);
  const processors = cpus();
  const machine = {
    processor: processors[0]?.model ?? "unknown",
    processors: processors.length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
  };
  return { headline: { worst, geomeanEager, torch: torch ?? null }, rows, machine };
}

async function timeNetwork(
  network: BenchNetwork,
  options: EngineBenchOptions,
): Promise<{ row: EngineRow; torch: string | undefined }> {
  const contestants: Contestant[] = [];
  try {
    const { python } = options;
    contestants.push(await enter("limber", process.execPath, [WORKER], network, options));
    if (python !== undefined) {
      contestants.push(await enter("eager", python, [PEER], network, options));
      contestants.push(await enter("channels-last", python, [PEER], network, options));
    }
    for (let round = -2; round < options.rounds; round++) {
      for (const contestant of contestants) {
        throwIfAborted(options.signal);
        const { ms } = await contestant.peer.ask({ cmd: "step", count: 1 });
        if (round >= 0) contestant.times.push(ms![0]!); // the first two rounds warm up
      }
    }
    return { row: await rowOf(network, contestants), torch: contestants[1]?.torch };
  } finally {
    for (const { peer } of contestants) peer.stop();
  }
}

async function enter(
  name: Contestant["name"],
  command: string,
  args: readonly string[],
  network: BenchNetwork,
  { threads }: EngineBenchOptions,
): Promise<Contestant> {
  const peer = Peer.start(name, command, args);
  const { batch, imageSize } = network;
  const target = name === "limber" ? network.name : network.peer;
  const request = {
    cmd: "prepare",
    network: target,
    batch,
    imageSize,
    threads,
    channels_last: name === "channels-last",
  } as const;
  const { parameters = 0, prepare_ms: createMs = 0, torch } = await peer.ask(request);
  return { name, peer, createMs, parameters, torch, times: [] };
}

async function rowOf(network: BenchNetwork, contestants: readonly Contestant[]): Promise<EngineRow> {
  const [ours, eager, channelsLast] = contestants as [Contestant, Contestant?, Contestant?];
  if (eager && eager.parameters !== ours.parameters) {
    const message = `network "${network.name}": the peer's ${eager.parameters} parameters, got ${ours.parameters}; the networks differ`;
    throw new LimberError("internal", message);
  }
  const peak = async (contestant: Contestant): Promise<number> =>
    (await contestant.peer.ask({ cmd: "memory" })).peak_rss_mb!;
  const peakMb = await peak(ours);
  const torchPeakMb = eager ? await peak(eager) : null;
  const ratio = (peer: Contestant | undefined): number | null =>
    peer ? median(peer.times.map((ms, i) => ms / ours.times[i]!)) : null;
  return {
    network: network.name,
    batch: network.batch,
    imageSize: network.imageSize,
    parameters: ours.parameters,
    stepMs: median(ours.times),
    createMs: ours.createMs,
    peakMb,
    torchEagerMs: eager ? median(eager.times) : null,
    torchChannelsLastMs: channelsLast ? median(channelsLast.times) : null,
    torchCreateMs: eager?.createMs ?? null,
    torchPeakMb,
    ratioEager: ratio(eager),
    ratioChannelsLast: ratio(channelsLast),
    memoryRatio: torchPeakMb === null ? null : torchPeakMb / peakMb,
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
