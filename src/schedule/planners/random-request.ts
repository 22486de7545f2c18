import { Random } from "../../base/index.js";
import type { AppState, Level, ScoreEstimate } from "../app.js";
import type { PlanRequest } from "../plan.js";

export interface RandomRequestOptions {
  readonly apps: number;
  readonly levels: number;
  readonly quanta: number;
  /** Concave curves and ladders; otherwise S-shaped curves, falling ones, and levels in no order of score too. */
  readonly isConcave?: boolean;
  /** Memory and deadlines that may bind. Default: false. */
  readonly isLimited?: boolean;
  /** Of predictions at the smallest level, in shares of the window. Default: 0.1 to 0.6. */
  readonly load?: readonly [number, number];
}

/** A request that a seed names: costs and scores of every shape that an app may have. */
export function randomRequest(seed: number, options: RandomRequestOptions): PlanRequest {
  const random = new Random(seed);
  const windowMs = random.uniform(2_000, 60_000);
  const load = random.uniform(...(options.load ?? [0.1, 0.6]));
  const apps = Array.from({ length: options.apps }, (_, index) =>
    randomApp(`app ${index}`, random, (windowMs * load) / options.apps, options),
  );
  const most = apps.reduce((sum, { levels }) => sum + levels.at(-1)!.memoryBytes, 0);
  return {
    device: {
      windowMs,
      memoryBytes: options.isLimited ? most * random.uniform(0.1, 1) : most,
      floorShare: random.pick([0, 0.05]),
    },
    apps,
  };
}

function randomApp(name: string, random: Random, predictMs: number, options: RandomRequestOptions): AppState {
  const frames = random.int(10, 200);
  const [inferRise, stepRise, makeMs] = [random.uniform(0.2, 4), random.uniform(0.2, 4), random.uniform(0, predictMs)];
  const inferMs = (predictMs / frames) * random.uniform(0.3, 1.5);
  const stepMs = inferMs * random.uniform(2, 20);
  const levels = Array.from({ length: options.levels }, (_, index): Level => {
    const place = options.levels === 1 ? 0 : index / (options.levels - 1);
    return {
      ...{ name: `level ${index}`, size: 16 * (index + 1), makeMs },
      ...{ inferMs: inferMs * (1 + inferRise * place), stepMs: stepMs * (1 + stepRise * place) },
      memoryBytes: 1e6 * (1 + index),
    };
  });
  const quantum = 10;
  return {
    ...{ name, frames, levels, quantum, history: [] },
    weight: random.pick([1, 1, 1, 2, 0.5]),
    maxSteps: quantum * options.quanta,
    level: random.next() < 0.5 ? random.int(0, options.levels) : undefined,
    deadlineMs: options.isLimited && random.next() < 0.5 ? inferMs * random.uniform(1, 30) : undefined,
    estimate: randomEstimate(random, options),
  };
}

function randomEstimate(random: Random, { levels, quanta, isConcave }: RandomRequestOptions): ScoreEstimate {
  const start = random.uniform(0.1, 0.6);
  const rows = Array.from({ length: levels }, (_, index) => {
    const place = levels === 1 ? 0 : index / (levels - 1);
    const from = start + 0.3 * (isConcave ? Math.sqrt(place) * 0.8 : random.next());
    const gain = (0.9 - from) * random.uniform(isConcave ? 0 : -0.3, 1);
    return { from, gain, half: random.uniform(3, 60), shape: isConcave ? 1 : random.pick([1, 1, 3]) };
  });
  const most = 10 * quanta;
  return (level, steps) => {
    const { from, gain, half, shape } = rows[level]!;
    const x = Math.min(steps, most) ** shape;
    return from + gain * (x / (x + half ** shape));
  };
}
