import { isLimberError, median } from "../base/index.js";
import type { Mode } from "./modes.js";
import type { TuneMode } from "../run/node.js";
import { batchOf, type BenchNetwork } from "./networks.js";
import { Peer } from "./peer.js";
import { type ContestantName, CONTESTANTS, findLaunch, waysOf } from "./peers.js";
import type { Answer, Command, Task } from "./protocol.js";
import type { Timing } from "./rows.js";

export interface Entry {
  readonly network: BenchNetwork;
  readonly mode: Mode;
  readonly threads: number;
  readonly python: string | undefined;
  readonly tune: TuneMode;
  /** What our side said of the mode; absent while it is asked itself. */
  readonly ours?: Answer | undefined;
  /** Told of every process that starts. */
  readonly onStart: (peer: Peer) => void;
}

/** Steps of a turn: one if it takes this long, else as many as fit. Units: milliseconds. */
const TURN_MS = 100;
const MOST_STEPS = 50;
/** Who has stepped for this long leaves the rounds that remain, but for one. Units: milliseconds. */
const PATIENCE_MS = 60_000;
const TRIAL_STEPS = 3;
/** Longer than any peer that is worth a comparison. Units: milliseconds. */
const LIMIT_MS = 300_000;

/** One process that takes part in the rounds of one row, or the reason why it does not. */
export class Contestant {
  /** One for each round that counts. Units: milliseconds per step. */
  readonly times: number[] = [];
  private prepared: Answer = {};
  private spentMs = 0;
  private count = 1;

  private constructor(
    private peer: Peer | undefined,
    private note: string,
  ) {}

  /** Starts a process and prepares its step; where there are several ways to write the step, the fastest stays. */
  static async enter(name: ContestantName, entry: Entry): Promise<Contestant> {
    const ways = waysOf(name, entry.mode);
    const trials: { contestant: Contestant; ms: number }[] = [];
    for (const way of ways) {
      const contestant = await Contestant.start(name, way, entry);
      if (ways.length > 1) await contestant.turn(false);
      trials.push({ contestant, ms: ways.length > 1 ? await contestant.tryOut() : 0 });
    }
    const [fastest, ...others] = trials.sort((a, b) => a.ms - b.ms).map(({ contestant }) => contestant);
    for (const other of others) other.stop();
    return fastest!;
  }

  private static async start(
    name: ContestantName,
    way: string,
    { network, mode, threads, python, tune, ours, onStart }: Entry,
  ): Promise<Contestant> {
    const launch = findLaunch(name, mode, python);
    if ("reason" in launch) return new Contestant(undefined, launch.reason);
    const peer = Peer.start(name, launch.command, launch.args);
    onStart(peer);
    const task: Task = {
      ...{ threads, mode, tune, way, channels_last: CONTESTANTS[name].channelsLast },
      ...{ trained: ours?.trained ?? null, fixed_norms: ours?.fixed_norms ?? [] },
    };
    const size = { batch: batchOf(network, mode), imageSize: network.imageSize };
    const target = name === "limber" ? network.name : network.peer;
    const contestant = new Contestant(peer, way);
    contestant.prepared = (await contestant.ask({ cmd: "prepare", network: target, ...size, ...task })) ?? {};
    return contestant;
  }

  /** Whether it is still there: prepared, and no step of it failed. */
  get runs(): boolean {
    return this.peer !== undefined;
  }

  /** What it said of the network when it was prepared. */
  get answer(): Answer {
    return this.prepared;
  }

  /** Steps for about as long as the others; a turn that does not count warms up. */
  async turn(counts: boolean): Promise<void> {
    if (this.spentMs > PATIENCE_MS && (!counts || this.times.length > 0)) return;
    const answer = await this.ask({ cmd: "step", count: this.count });
    if (!answer) return;
    const ms = median(answer.ms!);
    this.spentMs += ms * this.count;
    this.count = Math.min(MOST_STEPS, Math.max(1, Math.round(TURN_MS / ms)));
    if (counts) this.times.push(ms);
  }

  stop(): void {
    this.peer?.stop();
  }

  /** Its part of a row; ends the process. */
  async finish(ours: Pick<Contestant, "times">): Promise<Timing> {
    const { times, answer } = this;
    const memory = await this.ask({ cmd: "memory" });
    this.stop();
    const ratios = times.flatMap((ms, round) => (ours.times[round] ? [ms / ours.times[round]] : []));
    return {
      stepMs: times.length > 0 ? median(times) : null,
      prepareMs: answer.prepare_ms ?? null,
      peakMb: memory?.peak_rss_mb ?? null,
      ratio: ratios.length > 0 ? median(ratios) : null,
      rounds: times.length,
      note: this.note,
    };
  }

  private async tryOut(): Promise<number> {
    for (let i = 0; i < TRIAL_STEPS; i++) await this.turn(true);
    const ms = this.times.splice(0);
    return ms.length > 0 ? median(ms) : Infinity;
  }

  /** The answer; or none, and the reason is kept: what a contestant cannot do is a result. */
  private async ask(command: Command): Promise<Answer | undefined> {
    const { peer } = this;
    if (!peer) return undefined;
    const limit = setTimeout(() => peer.stop(`no answer within ${LIMIT_MS / 1e3} s`), LIMIT_MS);
    try {
      return await peer.ask(command);
    } catch (error) {
      if (!isLimberError(error, "run.failed")) throw error;
      peer.stop();
      this.peer = undefined;
      this.note = error.message;
      return undefined;
    } finally {
      clearTimeout(limit);
    }
  }
}
