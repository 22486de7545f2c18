import { LimberError, type LongCall, throwIfAborted } from "../../base/index.js";
import type { RunningApp } from "../running-app.js";
import { type Clock, REAL_CLOCK } from "../slice/clock.js";
import { TimeSlicer } from "../slice/time-slicer.js";
import { type FrameSource, serveFrames } from "./frames.js";
import { type Latency, latencyOf } from "./latency.js";

/** An app that serves and can train: it has a model, and has seen pictures. */
export interface ServedApp extends FrameSource {
  readonly app: RunningApp;
}

export interface MeasureServingOptions extends LongCall {
  /** Each is some time without training and the same with it. Default 5. */
  readonly rounds?: number | undefined;
  /** Of each half of a round. Units: milliseconds; default 5000. */
  readonly phaseMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

export interface ServingReport {
  readonly apps: number;
  readonly idle: Latency;
  readonly training: Latency;
  /** p99 with training by p99 without, over all rounds. */
  readonly p99Ratio: number;
  readonly p50Ratio: number;
  /** Of each round by itself. */
  readonly roundRatios: readonly number[];
  /** Frames that were dropped, without training and with it. */
  readonly dropped: { readonly idle: number; readonly training: number };
  /** Training steps, and the share of the time in which they ran. */
  readonly steps: number;
  readonly trainingShare: number;
  /** Largest |time had / time due - 1| over the apps while they train: training and predictions together. */
  readonly shareError: number;
}

/**
 * How much slower predictions are while all apps train, one step at a time with equal shares. Rounds with and without training take turns,
 * so that what else the machine does falls on both.
 * Throws: `config.invalid` for no apps, `aborted`; as the apps do.
 */
export async function measureServing(
  apps: readonly ServedApp[],
  { rounds = 5, phaseMs = 5000, clock = REAL_CLOCK, signal, onProgress }: MeasureServingOptions = {},
): Promise<ServingReport> {
  if (apps.length === 0) throw new LimberError("config.invalid", "apps: one at least, got none; give those to serve");
  const phases: Record<PhaseName, Phase[]> = { idle: [], training: [] };
  const tally = { steps: 0, trainingMs: 0, usedMs: apps.map(() => 0) };
  const slicer = new TimeSlicer({ clock });
  apps.forEach((_, i) => slicer.open(String(i), 1 / apps.length));
  for (let round = 0; round < rounds; round++)
    for (const name of PHASES) {
      throwIfAborted(signal);
      onProgress?.({ stage: "serve", done: round, total: rounds, note: name });
      const over = new AbortController();
      const stop = (): void => over.abort();
      signal?.addEventListener("abort", stop, { once: true });
      const usedMs = apps.map((_, i) => slicer.usedMs(String(i)));
      const training = name === "idle" ? [] : apps;
      const jobs = training.map(({ app }, i) => slicer.submit(String(i), trainOn(app, over.signal)));
      const phase: Phase = { latencies: [], dropped: 0 };
      const served = Promise.all(apps.map((app, i) => serve(app, phase, { slicer, name: String(i), clock, over })));
      await Promise.race([clock.sleep(phaseMs, over.signal), served]).finally(stop);
      await served;
      for (const { steps, usedMs, error } of await Promise.all(jobs)) {
        if (error) throw error;
        tally.steps += steps;
        tally.trainingMs += usedMs;
      }
      signal?.removeEventListener("abort", stop);
      training.forEach((_, i) => (tally.usedMs[i]! += slicer.usedMs(String(i)) - usedMs[i]!));
      phases[name].push(phase);
    }
  throwIfAborted(signal);
  return reportOf(phases, tally, rounds * phaseMs);
}

const PHASES = ["idle", "training"] as const;
type PhaseName = (typeof PHASES)[number];

interface Phase {
  readonly latencies: number[];
  dropped: number;
}

async function* trainOn(app: RunningApp, over: AbortSignal): AsyncGenerator<void, void, undefined> {
  while (!over.aborted) {
    await app.step();
    yield;
  }
}

function serve(
  source: ServedApp,
  phase: Phase,
  { slicer, name, clock, over }: { slicer: TimeSlicer; name: string; clock: Clock; over: AbortController },
): Promise<void> {
  return serveFrames(source, {
    ...{ clock, signal: over.signal },
    serve: async ({ images }, dueMs) => {
      await slicer.serve(name, () => source.app.predict(images));
      phase.latencies.push(clock.now() - dueMs);
    },
    onDropped: (count) => (phase.dropped += count),
  });
}

function reportOf(
  { idle, training }: Readonly<Record<PhaseName, readonly Phase[]>>,
  { steps, trainingMs, usedMs }: { steps: number; trainingMs: number; usedMs: readonly number[] },
  totalMs: number,
): ServingReport {
  const all = (phases: readonly Phase[]): Latency => latencyOf(phases.flatMap(({ latencies }) => latencies));
  const dropped = (phases: readonly Phase[]): number => phases.reduce((sum, phase) => sum + phase.dropped, 0);
  const meanMs = usedMs.reduce((a, b) => a + b, 0) / usedMs.length;
  const [without, beside] = [all(idle), all(training)];
  return {
    apps: usedMs.length,
    idle: without,
    training: beside,
    p99Ratio: beside.p99Ms / without.p99Ms,
    p50Ratio: beside.p50Ms / without.p50Ms,
    roundRatios: training.map((phase, i) => latencyOf(phase.latencies).p99Ms / all([idle[i]!]).p99Ms),
    dropped: { idle: dropped(idle), training: dropped(training) },
    steps,
    trainingShare: trainingMs / totalMs,
    shareError: Math.max(...usedMs.map((ms) => Math.abs(ms / meanMs - 1))),
  };
}
